// The part of a record of a scan that every entry has (native/scan.cc has its grammar).
#pragma once

#include "native.h"

namespace native {

// What stat(2) tells of an inode, in the order and the sizes in which a record has it.
struct Stats {
  uint8_t type = 0, detailed = 0, mountRoot = 0, zero = 0;
  uint32_t mode = 0, uid = 0, gid = 0, links = 0, major = 0, minor = 0, flags = 0;
  uint32_t mtimeNanoseconds = 0, ctimeNanoseconds = 0;
  int64_t mtimeSeconds = 0, ctimeSeconds = 0;
  uint64_t inode = 0, size = 0;
};
static_assert(sizeof(Stats) == 72 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

// What stands for the type of a mode (st_mode); 0 for none that there is.
inline uint8_t typeOfMode(unsigned mode) {
  switch (mode & 0170000) {
    case 0100000: return 1;
    case 0040000: return 2;
    case 0120000: return 3;
    case 0020000: return 4;
    case 0060000: return 5;
    case 0010000: return 6;
    case 0140000: return 7;
    default: return 0;
  }
}

constexpr uint8_t kTypeFile = 1, kTypeDirectory = 2, kTypeCharacter = 4, kTypeBlock = 5;

// `directory` and `name` as one path.
inline std::string joined(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty()) path += '/';
  path += name;
  return path;
}

inline void writeRecord(Writer &writer, const Stats &stats, std::string_view path, std::string_view detail = {}) {
  writer.number<uint32_t>(static_cast<uint32_t>(sizeof(Stats) + 4 + path.size() + detail.size()));
  writer.raw({reinterpret_cast<const char *>(&stats), sizeof(Stats)});
  writer.bytes(path);
  writer.raw(detail);
}

}  // namespace native

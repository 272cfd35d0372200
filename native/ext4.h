// An ext4 file system as it lies on a device that nobody has mounted (Linux documentation, filesystems/ext4).
//
// Only what volumes of ours are made of is understood, and nothing is believed that its checksum does not vouch for.
// All else fails with EUCLEAN: the kernel may make something of it, or know better what to say.
#pragma once

#include <string>
#include <vector>

#include "native.h"
#include "scan-record.h"

namespace native::ext4 {

constexpr size_t kBlock = 4096;
constexpr uint32_t kRootInode = 2;

[[noreturn]] inline void refuse() { fail("ext4", {}, EUCLEAN); }

inline void require(bool sound) {
  if (!sound) refuse();
}

// The number at `at`; all are little-endian.
template <typename T>
T get(const uint8_t *bytes, size_t at) {
  T value;
  __builtin_memcpy(&value, bytes + at, sizeof(T));
  return value;
}

struct Group {
  uint64_t table;    // first block of its inodes
  uint32_t inodes;   // how many of them, from the first, were ever in use
};

struct FileSystem {
  int device;
  uint64_t blocks;
  uint32_t inodes, inodesPerGroup, inodeBytes, inodesInUse;
  uint32_t seed;  // of checksums
  std::vector<Group> groups;

  // Blocks, which must be within the file system.
  void read(uint64_t block, size_t count, uint8_t *into) const;
};

// Reads the superblock and the groups of a file system that was unmounted in order.
FileSystem openFileSystem(int device);

// A directory as its inode has it.
struct DirectoryInode {
  uint32_t number = 0;
  uint32_t seed = 0;  // of the checksums of its blocks
  uint32_t blocks = 0;
  bool indexed = false;
  uint8_t map[60] = {};
};

// Takes an inode apart, unless it is in no use; of a directory `directory` is filled in.
bool readInode(const FileSystem &fs, const uint8_t *bytes, uint32_t number, Stats &stats, DirectoryInode &directory);

// The names in a directory, sorted, but for "." and "..".
struct Name {
  uint32_t inode, at;  // where in `text`
  uint8_t length;
};
struct Names {
  std::vector<Name> names;
  std::string text;

  std::string_view of(const Name &name) const { return std::string_view(text).substr(name.at, name.length); }
};
Names readNames(const FileSystem &fs, const DirectoryInode &directory);

}  // namespace native::ext4

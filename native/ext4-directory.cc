// Directories: where their blocks are, and the names in them.
#include <algorithm>

#include "crc32c.h"
#include "ext4.h"

namespace native::ext4 {
namespace {

constexpr size_t kNodeHeader = 12, kNodeEntry = 12;
constexpr uint16_t kNodeMagic = 0xf30a, kMaxDepth = 5, kMaxExtent = 32768;
constexpr size_t kInodeCapacity = 4, kBlockCapacity = (kBlock - kNodeHeader - 4) / kNodeEntry;

constexpr size_t kRecordHeader = 8, kLeastRecord = 12, kLeafEnd = kBlock - 12;
constexpr size_t kRootEntries = 32, kInnerEntries = 8;

struct Extent {
  uint64_t block;
  uint32_t count;
};

// Finds the blocks of a directory, of which there must be each one.
class Map {
 public:
  Map(const FileSystem &fs, const DirectoryInode &directory) : fs_(fs), directory_(directory) {
    auto depth = get<uint16_t>(directory.map, 6);
    require(depth <= kMaxDepth);
    read(directory.map, kInodeCapacity, depth);
    require(found_ == directory.blocks);
  }

  const std::vector<Extent> &extents() const { return extents_; }

 private:
  void read(const uint8_t *node, size_t capacity, uint16_t depth) {
    auto entries = get<uint16_t>(node, 2);
    require(get<uint16_t>(node, 0) == kNodeMagic && get<uint16_t>(node, 4) == capacity);
    // None is empty, so that each takes the map further.
    require(entries > 0 && entries <= capacity && get<uint16_t>(node, 6) == depth);
    for (size_t at = kNodeHeader; at < kNodeHeader + entries * kNodeEntry; at += kNodeEntry) {
      require(get<uint32_t>(node, at) == found_);
      if (depth == 0) addExtent(node + at);
      else readChild(node + at, depth - 1);
    }
  }

  void addExtent(const uint8_t *entry) {
    uint32_t count = get<uint16_t>(entry, 4);
    uint64_t block = uint64_t{get<uint16_t>(entry, 6)} << 32 | get<uint32_t>(entry, 8);
    // A larger count is of blocks that were never written.
    require(count > 0 && count <= kMaxExtent && count <= directory_.blocks - found_ && block > 0);
    extents_.push_back({block, count});
    found_ += count;
  }

  void readChild(const uint8_t *entry, uint16_t depth) {
    uint64_t block = uint64_t{get<uint16_t>(entry, 8)} << 32 | get<uint32_t>(entry, 4);
    std::vector<uint8_t> node(kBlock);
    fs_.read(block, 1, node.data());
    require(crc32c(directory_.seed, node.data(), kBlock - 4) == get<uint32_t>(node.data(), kBlock - 4));
    read(node.data(), kBlockCapacity, depth);
  }

  const FileSystem &fs_;
  const DirectoryInode &directory_;
  uint32_t found_ = 0;
  std::vector<Extent> extents_;
};

// An index looks like records that are in no use to who does not know of it; it has a checksum of its own.
void checkIndex(const uint8_t *block, size_t entries, uint32_t seed) {
  size_t capacity = get<uint16_t>(block, entries), count = get<uint16_t>(block, entries + 2);
  require(capacity == (kBlock - entries - 8) / 8 && count >= 1 && count <= capacity);
  uint32_t crc = crc32c(seed, block, entries + count * 8);
  crc = crc32c(crc32c(crc, block + kBlock - 8, 4), "\0\0\0\0", 4);
  require(crc == get<uint32_t>(block, kBlock - 4));
}

void checkLeaf(const uint8_t *block, uint32_t seed) {
  require(get<uint32_t>(block, kLeafEnd) == 0 && get<uint32_t>(block, kLeafEnd + 4) == 0xde00000c);
  require(crc32c(seed, block, kLeafEnd) == get<uint32_t>(block, kBlock - 4));
}

void addRecord(const FileSystem &fs, const uint8_t *record, size_t length, Names &names) {
  auto inode = get<uint32_t>(record, 0);
  if (inode == 0) return;
  size_t nameLength = record[6];
  require(nameLength > 0 && kRecordHeader + nameLength <= length && inode <= fs.inodes);
  std::string_view name(reinterpret_cast<const char *>(record + kRecordHeader), nameLength);
  if (name == "." || name == "..") return;
  require(name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos);
  names.names.push_back({inode, static_cast<uint32_t>(names.text.size()), static_cast<uint8_t>(nameLength)});
  names.text += name;
}

void readBlock(const FileSystem &fs, const DirectoryInode &directory, bool first, const uint8_t *block, Names &names) {
  bool root = directory.indexed && first;
  bool inner = directory.indexed && get<uint32_t>(block, 0) == 0 && get<uint16_t>(block, 4) == kBlock;
  // What is in the first block of an index is "." and "..".
  if (root) {
    require(get<uint16_t>(block, 4) == kLeastRecord && get<uint16_t>(block, 16) == kBlock - kLeastRecord);
    require(block[6] == 1 && block[8] == '.' && block[18] == 2 && block[20] == '.' && block[21] == '.');
  }
  if (root || inner) return checkIndex(block, root ? kRootEntries : kInnerEntries, directory.seed);
  checkLeaf(block, directory.seed);
  for (size_t at = 0; at < kLeafEnd;) {
    size_t length = get<uint16_t>(block, at + 4);
    require(length >= kLeastRecord && length % 4 == 0 && length <= kLeafEnd - at);
    addRecord(fs, block + at, length, names);
    at += length;
  }
}

}  // namespace

Names readNames(const FileSystem &fs, const DirectoryInode &directory) {
  constexpr size_t kAtOnce = 16;
  std::vector<uint8_t> buffer(std::min<size_t>(directory.blocks, kAtOnce) * kBlock);
  Names names;
  bool first = true;
  Map map(fs, directory);
  for (const auto &extent : map.extents()) {
    for (size_t done = 0; done < extent.count; done += kAtOnce) {
      size_t count = std::min<size_t>(kAtOnce, extent.count - done);
      fs.read(extent.block + done, count, buffer.data());
      for (size_t at = 0; at < count; at++, first = false) {
        readBlock(fs, directory, first, buffer.data() + at * kBlock, names);
      }
    }
  }
  std::sort(names.names.begin(), names.names.end(),
            [&](const Name &a, const Name &b) { return names.of(a) < names.of(b); });
  auto same = [&](const Name &a, const Name &b) { return names.of(a) == names.of(b); };
  require(std::adjacent_find(names.names.begin(), names.names.end(), same) == names.names.end());
  return names;
}

}  // namespace native::ext4

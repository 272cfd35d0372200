// The superblock, the table of group descriptors, and inodes.
#include "ext4.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "crc32c.h"

namespace native::ext4 {
namespace {

constexpr size_t kSuperblock = 1024;
constexpr uint32_t kCompatible = 0x4 | 0x8 | 0x10 | 0x20;  // has_journal ext_attr resize_inode dir_index
constexpr uint32_t kChecksumSeed = 0x2000, kWide = 0x80;
constexpr uint32_t kIncompatibleNeeded = 0x2 | 0x40;  // filetype extent
constexpr uint32_t kIncompatible = kIncompatibleNeeded | kWide | 0x200 | kChecksumSeed;  // flex_bg
constexpr uint32_t kReadOnlyNeeded = 0x400;  // metadata_csum
// sparse_super large_file huge_file dir_nlink extra_isize
constexpr uint32_t kReadOnly = kReadOnlyNeeded | 0x1 | 0x2 | 0x8 | 0x20 | 0x40;
constexpr uint32_t kGroupBlocks = 8 * kBlock;
// 64 TiB, what a volume in a cloud has at most.
constexpr uint64_t kMaxBlocks = uint64_t{1} << 34;

// Inodes that have no name, but for the root.
constexpr uint32_t kReserved = 10;
constexpr uint16_t kInodesUnused = 0x1;

constexpr size_t kBaseBytes = 128, kChecksumLow = 0x7c, kChecksumHigh = 0x82;
// Extra fields up to the ones of mtime, which every inode has that this kernel or mke2fs made.
constexpr size_t kLeastExtra = 0x8c - kBaseBytes;
constexpr uint32_t kIndexed = 0x1000, kExtents = 0x80000;
// Compressed, encrypted, verity, a value of an attribute, inline data, names folded.
constexpr uint32_t kForeignFlags = 0x4 | 0x800 | 0x100000 | 0x200000 | 0x10000000 | 0x40000000;
// Immutable, append-only, no dump: all that statx(2) tells of.
constexpr uint32_t kStatFlags = 0x10 | 0x20 | 0x40;

void checkSuperblock(const uint8_t *bytes) {
  require(get<uint16_t>(bytes, 0x38) == 0xef53 && bytes[0x175] == 1);
  require(crc32c(~0u, bytes, 0x3fc) == get<uint32_t>(bytes, 0x3fc));
  auto compatible = get<uint32_t>(bytes, 0x5c), incompatible = get<uint32_t>(bytes, 0x60);
  auto readOnly = get<uint32_t>(bytes, 0x64);
  require((compatible & ~kCompatible) == 0);
  require((incompatible & ~kIncompatible) == 0 && (incompatible & kIncompatibleNeeded) == kIncompatibleNeeded);
  require((readOnly & ~kReadOnly) == 0 && (readOnly & kReadOnlyNeeded) == kReadOnlyNeeded);
  // Unmounted in order, without errors, and with no file that is deleted but not yet freed.
  require(get<uint16_t>(bytes, 0x3a) == 1 && get<uint32_t>(bytes, 0xe8) == 0);
  // Blocks of 4096 bytes, the first of which is the first of a group.
  require(get<uint32_t>(bytes, 0x18) == 2 && get<uint32_t>(bytes, 0x14) == 0 && get<uint32_t>(bytes, 0x4c) == 1);
  require(get<uint32_t>(bytes, 0x20) == kGroupBlocks && get<uint32_t>(bytes, 0x54) == kReserved + 1);
}

void readGroups(FileSystem &fs, size_t descriptorBytes) {
  size_t count = (fs.blocks + kGroupBlocks - 1) / kGroupBlocks;
  require(uint64_t{count} * fs.inodesPerGroup == fs.inodes);
  uint64_t tableBlocks = uint64_t{fs.inodesPerGroup} * fs.inodeBytes / kBlock;
  std::vector<uint8_t> block(kBlock);
  std::vector<uint64_t> tables;
  for (size_t index = 0; index < count; index++) {
    size_t at = index * descriptorBytes % kBlock;
    if (at == 0) fs.read(1 + index * descriptorBytes / kBlock, 1, block.data());
    const uint8_t *bytes = block.data() + at;
    auto number = static_cast<uint32_t>(index);
    uint32_t crc = crc32c(crc32c(fs.seed, &number, 4), bytes, 0x1e);
    crc = crc32c(crc32c(crc, "\0\0", 2), bytes + 0x20, descriptorBytes - 0x20);
    require((crc & 0xffff) == get<uint16_t>(bytes, 0x1e));
    bool wide = descriptorBytes == 64;
    uint64_t table = get<uint32_t>(bytes, 8) | (wide ? uint64_t{get<uint32_t>(bytes, 0x28)} << 32 : 0);
    uint32_t unused = get<uint16_t>(bytes, 0x1c) | (wide ? uint32_t{get<uint16_t>(bytes, 0x32)} << 16 : 0);
    require(unused <= fs.inodesPerGroup && table > 0 && table <= fs.blocks && fs.blocks - table >= tableBlocks);
    bool none = get<uint16_t>(bytes, 0x12) & kInodesUnused;
    fs.groups.push_back({table, none ? 0 : fs.inodesPerGroup - unused});
    tables.push_back(table);
  }
  // No two of them overlap, so that no more is read than there is.
  std::sort(tables.begin(), tables.end());
  for (size_t at = 1; at < count; at++) require(tables[at] - tables[at - 1] >= tableBlocks);
}

}  // namespace

void FileSystem::read(uint64_t block, size_t count, uint8_t *into) const {
  require(block <= blocks && blocks - block >= count);
  auto offset = static_cast<off_t>(block * kBlock);
  for (size_t length = count * kBlock; length > 0;) {
    ssize_t got = check(pread(device, into, length, offset), "pread");
    require(got > 0);
    into += got;
    offset += got;
    length -= static_cast<size_t>(got);
  }
}

FileSystem openFileSystem(int device) {
  FileSystem fs{};
  fs.device = device;
  fs.blocks = 1;
  std::vector<uint8_t> first(kBlock);
  fs.read(0, 1, first.data());
  const uint8_t *bytes = first.data() + kSuperblock;
  checkSuperblock(bytes);
  auto incompatible = get<uint32_t>(bytes, 0x60);
  bool wide = incompatible & kWide;
  fs.blocks = get<uint32_t>(bytes, 4) | (wide ? uint64_t{get<uint32_t>(bytes, 0x150)} << 32 : 0);
  fs.inodes = get<uint32_t>(bytes, 0);
  fs.inodesPerGroup = get<uint32_t>(bytes, 0x28);
  fs.inodeBytes = get<uint16_t>(bytes, 0x58);
  auto unused = get<uint32_t>(bytes, 0x10);
  size_t descriptorBytes = wide ? get<uint16_t>(bytes, 0xfe) : 32;
  require(descriptorBytes == (wide ? 64 : 32));
  require(fs.blocks >= 8 && fs.blocks <= kMaxBlocks && unused <= fs.inodes);
  require(fs.inodeBytes >= 256 && fs.inodeBytes <= kBlock && kBlock % fs.inodeBytes == 0);
  require(fs.inodesPerGroup > kRootInode && fs.inodesPerGroup <= 8 * kBlock);
  require(fs.inodesPerGroup % (kBlock / fs.inodeBytes) == 0);
  fs.inodesInUse = fs.inodes - unused;
  fs.seed = incompatible & kChecksumSeed ? get<uint32_t>(bytes, 0x270) : crc32c(~0u, bytes + 0x68, 16);
  readGroups(fs, descriptorBytes);
  return fs;
}

namespace {

void checkInode(const uint8_t *bytes, size_t length, uint32_t seed) {
  uint32_t crc = crc32c(crc32c(seed, bytes, kChecksumLow), "\0\0", 2);
  crc = crc32c(crc, bytes + kChecksumLow + 2, kChecksumHigh - kChecksumLow - 2);
  crc = crc32c(crc32c(crc, "\0\0", 2), bytes + kChecksumHigh + 2, length - kChecksumHigh - 2);
  require(get<uint16_t>(bytes, kChecksumLow) == (crc & 0xffff) && get<uint16_t>(bytes, kChecksumHigh) == crc >> 16);
}

// Seconds of 32 bits, then two more of them and thirty of nanoseconds.
void readTime(const uint8_t *bytes, size_t at, size_t extraAt, int64_t &seconds, uint32_t &nanoseconds) {
  auto extra = get<uint32_t>(bytes, extraAt);
  seconds = get<int32_t>(bytes, at) + (static_cast<int64_t>(extra & 3) << 32);
  nanoseconds = extra >> 2;
  require(nanoseconds < 1'000'000'000);
}

// The number of a device, in the old form of 16 bits or the new one of 32.
void readDevice(const uint8_t *map, Stats &stats) {
  auto old = get<uint32_t>(map, 0), now = get<uint32_t>(map, 4);
  stats.major = old ? old >> 8 & 0xff : now >> 8 & 0xfff;
  stats.minor = old ? old & 0xff : (now & 0xff) | (now >> 12 & 0xfff00);
}

}  // namespace

bool readInode(const FileSystem &fs, const uint8_t *bytes, uint32_t number, Stats &stats, DirectoryInode &directory) {
  auto mode = get<uint16_t>(bytes, 0), links = get<uint16_t>(bytes, 0x1a);
  bool named = number == kRootInode || number > kReserved;
  if (links == 0 || !named) return false;
  size_t extra = get<uint16_t>(bytes, kBaseBytes);
  require(extra >= kLeastExtra && extra % 4 == 0 && extra <= fs.inodeBytes - kBaseBytes);
  uint32_t seed = crc32c(crc32c(fs.seed, &number, 4), bytes + 0x64, 4);
  checkInode(bytes, fs.inodeBytes, seed);
  auto flags = get<uint32_t>(bytes, 0x20);
  stats = {};
  stats.type = typeOfMode(mode);
  require(stats.type != 0 && (flags & kForeignFlags) == 0);
  stats.mode = mode & 07777;
  stats.uid = get<uint16_t>(bytes, 2) | uint32_t{get<uint16_t>(bytes, 0x78)} << 16;
  stats.gid = get<uint16_t>(bytes, 0x18) | uint32_t{get<uint16_t>(bytes, 0x7a)} << 16;
  stats.links = links;
  stats.flags = flags & kStatFlags;
  readTime(bytes, 0xc, 0x84, stats.ctimeSeconds, stats.ctimeNanoseconds);
  readTime(bytes, 0x10, 0x88, stats.mtimeSeconds, stats.mtimeNanoseconds);
  stats.inode = number;
  stats.size = get<uint32_t>(bytes, 4);
  // Only those of files have the upper half.
  if (stats.type == kTypeFile) stats.size |= uint64_t{get<uint32_t>(bytes, 0x6c)} << 32;
  if (stats.type == kTypeCharacter || stats.type == kTypeBlock) readDevice(bytes + 0x28, stats);
  if (stats.type != kTypeDirectory) return true;
  require((flags & kExtents) != 0 && stats.size > 0 && stats.size % kBlock == 0);
  directory.number = number;
  directory.seed = seed;
  directory.blocks = static_cast<uint32_t>(stats.size / kBlock);
  directory.indexed = flags & kIndexed;
  std::memcpy(directory.map, bytes + 0x28, sizeof(directory.map));
  return true;
}

}  // namespace native::ext4

#include "content.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace native {
namespace {

constexpr size_t kBufferBytes = 1 << 20;
constexpr uint64_t kBlock = 4096;

// Where the last block ends that a file of so many bytes has a part of.
uint64_t endOfBlocks(uint64_t size) { return (size + kBlock - 1) / kBlock * kBlock; }

// Finds the next hole at or after `position`, as [hole, data).
void findHole(int file, off_t position, off_t &hole, off_t &data, std::string_view path) {
  hole = check(lseek(file, position, SEEK_HOLE), "lseek SEEK_HOLE", path);
  data = lseek(file, hole, SEEK_DATA);
  if (data < 0 && errno == ENXIO) data = INT64_MAX;
  check(data, "lseek SEEK_DATA", path);
}

}  // namespace

Content readContent(Reader &reader) {
  Content content{reader.u64(), {}, {}};
  if (reader.u8()) content.digest = reader.raw(kDigestBytes);
  for (uint32_t count = reader.u32(); count > 0; count--) {
    uint64_t offset = reader.u64();
    content.segments.push_back({offset, reader.u64()});
  }
  return content;
}

Descriptor openObject(Objects objects, const Content &content) {
  if (content.digest.empty()) return Descriptor();
  auto path = objectPath(content.digest);
  constexpr int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC;
  Descriptor object(openat(objects.directory, path.c_str(), flags));
  if (object < 0 && errno == ENOENT && objects.others >= 0) {
    object = Descriptor(openat(objects.others, path.c_str(), flags));
  }
  check(object.operator int(), "openat", path);
  return object;
}

void ContentWriter::write(int file, std::string_view path, const Content &content) {
  buffer_.resize(kBufferBytes);
  Descriptor object = openObject(objects_, content);
  off_t from = 0;
  uint64_t end = 0;
  for (auto [offset, length] : content.segments) {
    end = offset + length;
    while (length > 0) {
      control_.checkCancelled();
      size_t piece = std::min<uint64_t>(length, buffer_.size());
      readExactly(object, buffer_.data(), piece, from, path);
      writeExactly(file, buffer_.data(), piece, static_cast<off_t>(offset), path);
      from += static_cast<off_t>(piece);
      offset += piece;
      length -= piece;
      control_.addBytes(piece);
    }
  }
  // A file that ends in a hole is longer than what was written.
  if (end < content.size) check(ftruncate(file, static_cast<off_t>(content.size)), "ftruncate", path);
}

void ContentWriter::rewrite(int file, std::string_view path, const Content &content) {
  buffer_.resize(kBufferBytes);
  old_.resize(kBufferBytes);
  struct stat stat {};
  check(fstat(file, &stat), "fstat", path);
  // Even to the size that it has, this would write the last block anew.
  if (static_cast<uint64_t>(stat.st_size) != content.size) {
    check(ftruncate(file, static_cast<off_t>(content.size)), "ftruncate", path);
  }
  Descriptor object = openObject(objects_, content);
  off_t from = 0;
  uint64_t at = 0;
  for (auto segment : content.segments) {
    punch(file, at, segment.offset, path);
    rewriteSegment(file, object, segment, from, path);
    from += static_cast<off_t>(segment.length);
    at = segment.offset + segment.length;
  }
  punch(file, at, endOfBlocks(content.size), path);
}

void ContentWriter::rewriteSegment(int file, int object, Segment segment, off_t from, std::string_view path) {
  for (uint64_t done = 0; done < segment.length;) {
    control_.checkCancelled();
    size_t piece = std::min<uint64_t>(segment.length - done, buffer_.size());
    auto offset = static_cast<off_t>(segment.offset + done);
    readExactly(object, buffer_.data(), piece, from + static_cast<off_t>(done), path);
    readExactly(file, old_.data(), piece, offset, path);
    writeChanged(file, piece, offset, path);
    done += piece;
    control_.addBytes(piece);
  }
}

// Writes the runs of blocks of `buffer_` that differ from `old_`, or that the file does not have.
void ContentWriter::writeChanged(int file, size_t length, off_t offset, std::string_view path) {
  off_t hole = offset;   // [hole, data): what of the file is absent, as far as it is known
  off_t data = offset;
  size_t runStart = 0, runEnd = 0;
  auto flush = [&] {
    if (runEnd > runStart) writeExactly(file, buffer_.data() + runStart, runEnd - runStart, offset + static_cast<off_t>(runStart), path);
  };
  for (size_t at = 0; at < length; at += kBlock) {
    size_t size = std::min<size_t>(kBlock, length - at);
    off_t position = offset + static_cast<off_t>(at);
    if (position >= data) findHole(file, position, hole, data, path);
    bool absent = position >= hole && position < data;
    if (!absent && std::memcmp(buffer_.data() + at, old_.data() + at, size) == 0) continue;
    if (at != runEnd || runEnd == 0) {
      flush();
      runStart = at;
    }
    runEnd = at + size;
  }
  flush();
}

void ContentWriter::setHoles(int file, std::string_view path, const Content &content) {
  uint64_t at = 0;
  for (auto [offset, length] : content.segments) {
    punch(file, at, offset, path);
    fillHoles(file, offset, offset + length, path);
    at = offset + length;
  }
  punch(file, at, endOfBlocks(content.size), path);
}

// Writes zeros where there is nothing.
void ContentWriter::fillHoles(int file, uint64_t from, uint64_t to, std::string_view path) {
  buffer_.assign(kBufferBytes, 0);
  auto end = static_cast<off_t>(to);
  for (off_t at = static_cast<off_t>(from); at < end;) {
    off_t hole, data;
    findHole(file, at, hole, data, path);
    for (at = hole; at < std::min(data, end);) {
      control_.checkCancelled();
      auto piece = static_cast<size_t>(std::min<off_t>(std::min(data, end) - at, kBufferBytes));
      writeExactly(file, buffer_.data(), piece, at, path);
      at += static_cast<off_t>(piece);
    }
  }
}

void ContentWriter::punch(int file, uint64_t from, uint64_t to, std::string_view path) {
  if (to <= from) return;
  off_t data = lseek(file, static_cast<off_t>(from), SEEK_DATA);
  // Nothing is there already.
  if (data < 0 && errno == ENXIO) return;
  if (check(data, "lseek SEEK_DATA", path) >= static_cast<off_t>(to)) return;
  check(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from), static_cast<off_t>(to - from)),
        "fallocate", path);
}

}  // namespace native

// The content of files: as it is packed, and how it gets into a file.
#pragma once

#include "native.h"

namespace native {

// What a file shall hold: the data of an object, in order, at the segments; the rest is holes. Packed as
// `size:u64 has:u8 (digest, if has) count:u32 (offset:u64 length:u64)*`.
struct Segment {
  uint64_t offset, length;
};
struct Content {
  uint64_t size;
  std::string_view digest;
  std::vector<Segment> segments;
};
Content readContent(Reader &reader);

// Where objects are: a directory of them, and one for what is not in that (a descriptor, or -1).
struct Objects {
  int directory, others;
};

// The object of a content; no descriptor when it has no data.
Descriptor openObject(Objects objects, const Content &content);

// Writes content into open files; such as have content are read as well. `path` is what a failure names.
class ContentWriter {
 public:
  ContentWriter(Objects objects, const Control &control) : objects_(objects), control_(control) {}

  // Into a file that is empty.
  void write(int file, std::string_view path, const Content &content);
  // Into one that has other content: only blocks that differ are written.
  void rewrite(int file, std::string_view path, const Content &content);
  // Makes holes of what is in no segment, and zeros of holes in one; all else is as it should be.
  void setHoles(int file, std::string_view path, const Content &content);

 private:
  void rewriteSegment(int file, int object, Segment segment, off_t from, std::string_view path);
  void writeChanged(int file, size_t length, off_t offset, std::string_view path);
  void fillHoles(int file, uint64_t from, uint64_t to, std::string_view path);
  void punch(int file, uint64_t from, uint64_t to, std::string_view path);

  Objects objects_;
  const Control &control_;
  std::vector<char> buffer_, old_;
};

}  // namespace native

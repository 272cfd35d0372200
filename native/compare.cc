// Tells how much of a file would be written if it were rewritten in place, without reading more than is needed.
//
//   files  = (path:bytes content)*            content as native.h has it
//   counts = clusters:u32*                    one for each file: clusters of 512 KiB in which a block differs
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>

#include "content.h"

namespace native {
namespace {

constexpr uint64_t kCluster = 512 << 10;
// A cluster is left as soon as a piece of it differs.
constexpr size_t kPiece = 64 << 10;

struct File {
  std::string_view path;
  Content content;
};

class Comparison {
 public:
  Comparison(int root, int objects, const File &file, const Control &control)
      : file_(openBeneath(root, file.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)),
        object_(openObject({objects, -1}, file.content)),
        path_(file.path),
        control_(control) {
    struct stat stat {};
    check(file_.operator int(), "openat2", path_);
    check(fstat(file_, &stat), "fstat", path_);
    size_ = static_cast<uint64_t>(stat.st_size);
  }

  uint32_t run(const Content &content) {
    uint64_t from = 0;
    for (auto [offset, length] : content.segments) {
      for (uint64_t at = 0; at < length;) {
        uint64_t cluster = (offset + at) / kCluster;
        uint64_t end = std::min(length, (cluster + 1) * kCluster - offset);
        if (cluster != counted_ && differs(offset + at, from + at, end - at)) {
          counted_ = cluster;
          count_++;
        }
        at = end;
      }
      from += length;
    }
    return count_;
  }

 private:
  bool differs(uint64_t offset, uint64_t from, uint64_t length) {
    if (offset + length > size_) return true;
    char have[kPiece], want[kPiece];
    while (length > 0) {
      control_.checkCancelled();
      size_t piece = std::min<uint64_t>(length, kPiece);
      readExactly(file_, have, piece, static_cast<off_t>(offset), path_);
      readExactly(object_, want, piece, static_cast<off_t>(from), path_);
      if (std::memcmp(have, want, piece) != 0) return true;
      offset += piece;
      from += piece;
      length -= piece;
    }
    return false;
  }

  Descriptor file_;
  Descriptor object_;
  std::string_view path_;
  const Control &control_;
  uint64_t size_ = 0;
  uint64_t counted_ = UINT64_MAX;
  uint32_t count_ = 0;
};

std::vector<uint8_t> compareAll(int root, std::string_view packed, int objects, const Control &control) {
  std::vector<File> files;
  for (Reader reader(packed); !reader.done();) {
    auto path = reader.bytes();
    files.push_back({path, readContent(reader)});
  }
  std::vector<uint8_t> counts(files.size() * sizeof(uint32_t));
  forEachParallel(files.size(), [&](size_t index) {
    const File &file = files[index];
    uint32_t count = Comparison(root, objects, file, control).run(file.content);
    std::memcpy(counts.data() + index * sizeof(count), &count, sizeof(count));
  });
  return counts;
}

// compareContent(root, files, objects, control): resolves to the packed counts.
Napi::Value compareContent(const Napi::CallbackInfo &info) {
  int root = info[0].As<Napi::Number>().Int32Value();
  std::string_view files = bytesOf(info[1]);
  int objects = info[2].As<Napi::Number>().Int32Value();
  auto counts = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[3], {info[1]},
      [root, files, objects, counts](const Control &control) { *counts = compareAll(root, files, objects, control); },
      [counts](Napi::Env env) { return toBuffer(env, std::move(*counts)); });
}

}  // namespace

void initCompare(Napi::Env env, Napi::Object exports) {
  exports.Set("compareContent", Napi::Function::New(env, compareContent));
}

}  // namespace native

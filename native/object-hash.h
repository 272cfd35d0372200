// The digest of an object, and what it would be without its blocks of zeros.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>

#include "native.h"
#include "sha512.h"

namespace native {

constexpr size_t kBlockBytes = 4096;

struct Run {
  uint64_t start, count;
};

inline bool isZero(const char *data, size_t length) {
  return data[0] == 0 && (length == 1 || std::memcmp(data, data + 1, length - 1) == 0);
}

// Hashes an object, and from its first block of zeros on also what it would be without such blocks.
class ObjectHash {
 public:
  explicit ObjectHash(bool sparse) : sparse_(sparse) {}

  // Pieces are whole blocks, but for the last one.
  void update(const char *data, size_t length) {
    size_t hashed = 0;  // of this piece, by `whole_`
    for (size_t at = 0; sparse_ && at < length; at += kBlockBytes) {
      size_t size = std::min(kBlockBytes, length - at);
      if (isZero(data + at, size)) {
        whole_.update(data + hashed, at - hashed);
        hashed = at;
        addZeros();
      } else if (without_) {
        without_->update(data + at, size);
        hasData_ = true;
      } else {
        hasData_ = true;
      }
      block_++;
    }
    whole_.update(data + hashed, length - hashed);
  }

  Digest finish() { return whole_.finish(); }

  void write(Writer &writer) {
    if (!sparse_) zeros_.clear();
    writer.number<uint32_t>(zeros_.size());
    for (auto [start, count] : zeros_) {
      writer.number(start);
      writer.number(count);
    }
    if (zeros_.empty()) return;
    writer.number<uint8_t>(hasData_);
    if (!hasData_) return;
    auto digest = without_->finish();
    writer.raw({reinterpret_cast<const char *>(digest.data()), digest.size()});
  }

 private:
  // What is in more pieces than these is left as it is.
  static constexpr size_t kMaxRuns = 1024;

  void addZeros() {
    if (!without_) without_ = std::make_unique<Sha512>(whole_);
    if (!zeros_.empty() && zeros_.back().start + zeros_.back().count == block_) zeros_.back().count++;
    else zeros_.push_back({block_, 1});
    if (zeros_.size() > kMaxRuns) sparse_ = false;
  }

  bool sparse_;
  Sha512 whole_;
  std::unique_ptr<Sha512> without_;
  std::vector<Run> zeros_;
  uint64_t block_ = 0;
  bool hasData_ = false;
};

}  // namespace native

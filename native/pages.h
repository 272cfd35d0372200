// Pages of manifests as native code walks over them (src/image/page.ts has their grammar).
//
// Pages come as an array of [number, entries, first, next, bytes], in the order of their entries.
// What the index says of a page is checked: that it has so many `entries`, begins with the path `first`, and ends
// before `next`, the first path of the page behind it (empty: there is none).
#pragma once

#include <algorithm>
#include <string>

#include "native.h"

namespace native {

constexpr std::string_view kPageMagic = "iupage1\n";
constexpr uint32_t kNoPage = 0xffffffff;

struct Place {
  uint32_t page = kNoPage, entry = 0, offset = 0, length = 0;
};

struct Page {
  uint32_t number, entries;
  std::string_view first, next, bytes;
};
using Pages = std::vector<Page>;

inline Pages pagesOf(const Napi::Value &value) {
  auto array = value.As<Napi::Array>();
  Pages pages;
  for (uint32_t at = 0; at < array.Length(); at++) {
    auto page = array.Get(at).As<Napi::Array>();
    auto number = [&](uint32_t field) { return page.Get(field).As<Napi::Number>().Uint32Value(); };
    auto bytes = [&](uint32_t field) { return bytesOf(page.Get(field)); };
    pages.push_back({number(0), number(1), bytes(2), bytes(3), bytes(4)});
  }
  return pages;
}

// Orders paths by their components: a slash sorts before every other byte.
inline int comparePaths(std::string_view a, std::string_view b) {
  size_t length = std::min(a.size(), b.size());
  size_t at = 0;
  while (at < length && a[at] == b[at]) at++;
  if (at == length) return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
  auto key = [](char byte) { return byte == '/' ? 0 : static_cast<uint8_t>(byte) + 1; };
  return key(a[at]) < key(b[at]) ? -1 : 1;
}

// Reads the number at `at`, which ends before `end`; `path` is what is told of one that does not.
inline uint64_t readVarint(std::string_view bytes, size_t &at, size_t end, const std::string &path) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (at >= end) fail("page", path, EBADMSG);
    auto byte = static_cast<uint8_t>(bytes[at++]);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail("page", path, EBADMSG);
}

// Walks over the entries of pages, whose paths must ascend and which must be as their index says.
class Cursor {
 public:
  explicit Cursor(const Pages &pages) : pages_(pages) { next(); }

  bool valid() const { return valid_; }
  const std::string &path() const { return path_; }
  std::string_view body() const { return body_; }
  Place place() const { return place_; }

  void next() {
    if (at_ == page_.size() && !openPage()) {
      valid_ = false;
      return;
    }
    readEntry(place_.entry == kNoPage);
    if (at_ == page_.size()) endPage();
  }

 private:
  // Goes on to the next page, which has at least one entry.
  bool openPage() {
    if (opened_ == pages_.size()) return false;
    const Page &page = pages_[opened_++];
    page_ = page.bytes;
    if (page_.substr(0, kPageMagic.size()) != kPageMagic || page_.size() == kPageMagic.size()) {
      fail("page", page.first, EBADMSG);
    }
    at_ = kPageMagic.size();
    place_.page = page.number;
    place_.entry = kNoPage;
    return true;
  }

  // The last entry of a page has been read.
  void endPage() {
    const Page &page = pages_[opened_ - 1];
    bool complete = place_.entry + 1 == page.entries;
    bool apart = page.next.empty() || comparePaths(path_, page.next) < 0;
    if (!complete || !apart) fail("page", path_, EBADMSG);
  }

  void readEntry(bool first) {
    uint64_t length = varint(page_.size());
    if (length > page_.size() - at_) fail("page", {}, EBADMSG);
    size_t end = at_ + length;
    uint64_t shared = varint(end);
    uint64_t rest = varint(end);
    if (shared > (first ? 0 : path_.size()) || rest > end - at_) fail("page", path_, EBADMSG);
    previous_ = path_;
    path_.resize(shared);
    path_.append(page_.substr(at_, rest));
    bool inPlace = first ? path_ == pages_[opened_ - 1].first : comparePaths(previous_, path_) < 0;
    if (!inPlace) fail("page", path_, EBADMSG);
    at_ += rest;
    place_.entry++;
    place_.offset = static_cast<uint32_t>(at_);
    body_ = page_.substr(at_, end - at_);
    place_.length = static_cast<uint32_t>(body_.size());
    at_ = end;
    valid_ = true;
  }

  uint64_t varint(size_t end) { return readVarint(page_, at_, end, path_); }

  const Pages &pages_;
  size_t opened_ = 0;
  std::string_view page_;
  size_t at_ = 0;
  bool valid_ = false;
  std::string previous_;
  std::string path_;
  std::string_view body_;
  Place place_;
};

// Reads the fields of the body of an entry.
class Body {
 public:
  Body(std::string_view bytes, const std::string &path) : bytes_(bytes), path_(path) {}
  std::string_view rest() const { return bytes_.substr(at_); }
  uint64_t varint() { return readVarint(bytes_, at_, bytes_.size(), path_); }
  int64_t zigzag() {
    uint64_t value = varint();
    return static_cast<int64_t>(value >> 1 ^ (0 - (value & 1)));
  }
  std::string_view bytes() {
    uint64_t length = varint();
    if (length > bytes_.size() - at_) fail("page", path_, EBADMSG);
    at_ += length;
    return bytes_.substr(at_ - length, length);
  }
  void skipBytes() { bytes(); }

 private:
  std::string_view bytes_;
  const std::string &path_;
  size_t at_ = 0;
};

// The data of a file.
struct FileData {
  std::string_view digest;  // empty where there is none, as of all that is no file
  uint64_t bytes = 0;       // without its holes
};

inline FileData dataOf(std::string_view bytes, const std::string &path) {
  constexpr uint64_t kFile = 1, kBlock = 4096;
  Body body(bytes, path);
  if (body.varint() != kFile) return {};
  for (int field = 0; field < 6; field++) body.varint();  // mode, uid, gid, seconds, nanoseconds, flags
  for (uint64_t count = body.varint(); count > 0; count--) {
    body.skipBytes();
    body.skipBytes();
  }
  for (uint64_t names = body.varint(); names > 0; names--) body.skipBytes();
  uint64_t size = body.varint(), absent = 0, at = 0;
  for (uint64_t holes = body.varint(); holes > 0; holes--) {
    uint64_t start = at + body.varint();
    at = start + body.varint();
    absent += std::min(at * kBlock, size) - std::min(start * kBlock, size);
  }
  auto digest = body.rest();
  if (!digest.empty() && digest.size() != kDigestBytes) fail("page", path, EBADMSG);
  return {digest, size - absent};
}

}  // namespace native

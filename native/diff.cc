// Compares two sorted runs of manifest pages (src/image/page.ts has their grammar) without decoding what is
// the same in both.
//
//   differences = (path:bytes have:side want:side)*
//   side        = page:u32 [entry:u32 body:bytes]      page 0xffffffff, and no more: there is no such entry on this side
//   place       = page:u32 entry:u32 offset:u32 length:u32    page 0xffffffff: there is no such entry on this side
//   paths       = (path:bytes)*                        ascending
//   places      = place*                               one for each path
//   found       = u8*                                  one for each path: whether there are entries below it
//   known       = u8*                                  one for each digest: whether there is a file with it
//   origins     = (page:u32 entry:u32)*                one for each entry wanted: the entry with its path that is there
//
// Pages come as an array of [number, entries, first, next, bytes], in the order of their entries. `page` is the
// number of one; `entry` counts entries in the page; `offset` and `length` say where in it the body of the entry is.
// What the index says of a page is checked: that it has so many `entries`, begins with the path `first`, and ends
// before `next`, the first path of the page behind it (empty: there is none).
#include <cstring>

#include "native.h"

namespace native {
namespace {

constexpr std::string_view kMagic = "iupage1\n";
constexpr uint32_t kNone = 0xffffffff;

struct Place {
  uint32_t page = kNone, entry = 0, offset = 0, length = 0;
};

struct Page {
  uint32_t number, entries;
  std::string_view first, next, bytes;
};
using Pages = std::vector<Page>;

Pages pagesOf(const Napi::Value &value) {
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
int compare(std::string_view a, std::string_view b) {
  size_t length = std::min(a.size(), b.size());
  size_t at = 0;
  while (at < length && a[at] == b[at]) at++;
  if (at == length) return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
  auto key = [](char byte) { return byte == '/' ? 0 : static_cast<uint8_t>(byte) + 1; };
  return key(a[at]) < key(b[at]) ? -1 : 1;
}

// Reads the number at `at`, which ends before `end`; `path` is what is told of one that does not.
uint64_t readVarint(std::string_view bytes, size_t &at, size_t end, const std::string &path) {
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
    readEntry(place_.entry == kNone);
    if (at_ == page_.size()) endPage();
  }

 private:
  // Goes on to the next page, which has at least one entry.
  bool openPage() {
    if (opened_ == pages_.size()) return false;
    const Page &page = pages_[opened_++];
    page_ = page.bytes;
    if (page_.substr(0, kMagic.size()) != kMagic || page_.size() == kMagic.size()) {
      fail("page", page.first, EBADMSG);
    }
    at_ = kMagic.size();
    place_.page = page.number;
    place_.entry = kNone;
    return true;
  }

  // The last entry of a page has been read.
  void endPage() {
    const Page &page = pages_[opened_ - 1];
    bool complete = place_.entry + 1 == page.entries;
    bool apart = page.next.empty() || compare(path_, page.next) < 0;
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
    bool inPlace = first ? path_ == pages_[opened_ - 1].first : compare(previous_, path_) < 0;
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

void writeSide(Writer &writer, const Cursor &cursor) {
  writer.number(cursor.place().page);
  writer.number(cursor.place().entry);
  writer.bytes(cursor.body());
}

void writePlace(Writer &writer, const Place &place) {
  writer.number(place.page);
  writer.number(place.entry);
  writer.number(place.offset);
  writer.number(place.length);
}

std::vector<uint8_t> compareRuns(const Pages &have, const Pages &want, const Control &control) {
  Writer writer;
  Cursor a(have), b(want);
  for (uint32_t count = 0; a.valid() || b.valid(); count++) {
    if (count % 4096 == 0) control.checkCancelled();
    int order = !a.valid() ? 1 : !b.valid() ? -1 : compare(a.path(), b.path());
    if (order != 0 || a.body() != b.body()) {
      writer.bytes(order < 0 ? a.path() : b.path());
      order <= 0 ? writeSide(writer, a) : writer.number(kNone);
      order >= 0 ? writeSide(writer, b) : writer.number(kNone);
    }
    if (order <= 0) a.next();
    if (order >= 0) b.next();
  }
  return std::move(writer.bytes_);
}

// comparePages(have, want, control): resolves to the packed differences.
Napi::Value comparePages(const Napi::CallbackInfo &info) {
  Pages have = pagesOf(info[0]);
  Pages want = pagesOf(info[1]);
  auto differences = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[2], {info[0], info[1]},
      [have, want, differences](const Control &control) { *differences = compareRuns(have, want, control); },
      [differences](Napi::Env env) { return toBuffer(env, std::move(*differences)); });
}

std::vector<uint8_t> matchRuns(const Pages &have, const Pages &want, const Control &control) {
  Writer writer;
  Cursor a(have), b(want);
  for (uint32_t count = 0; b.valid(); count++) {
    if (count % 4096 == 0) control.checkCancelled();
    int order = a.valid() ? compare(a.path(), b.path()) : 1;
    if (order < 0) {
      a.next();
      continue;
    }
    Place origin = order == 0 ? a.place() : Place{};
    writer.number(origin.page);
    writer.number(origin.entry);
    b.next();
  }
  return std::move(writer.bytes_);
}

// matchPages(have, want, control): resolves to the packed origins of the entries of `want`.
Napi::Value matchPages(const Napi::CallbackInfo &info) {
  Pages have = pagesOf(info[0]);
  Pages want = pagesOf(info[1]);
  auto origins = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[2], {info[0], info[1]},
      [have, want, origins](const Control &control) { *origins = matchRuns(have, want, control); },
      [origins](Napi::Env env) { return toBuffer(env, std::move(*origins)); });
}

std::vector<uint8_t> findAll(const Pages &pages, std::string_view paths, const Control &control) {
  Writer writer;
  Cursor cursor(pages);
  for (Reader reader(paths); !reader.done();) {
    control.checkCancelled();
    std::string path(reader.bytes());
    int order = 1;
    while (cursor.valid() && (order = compare(cursor.path(), path)) < 0) cursor.next();
    writePlace(writer, cursor.valid() && order == 0 ? cursor.place() : Place{});
  }
  return std::move(writer.bytes_);
}

// findPaths(pages, paths, control): resolves to the packed places of some paths.
Napi::Value findPaths(const Napi::CallbackInfo &info) {
  Pages pages = pagesOf(info[0]);
  std::string_view paths = bytesOf(info[1]);
  auto places = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[2], {info[0], info[1]},
      [pages, paths, places](const Control &control) { *places = findAll(pages, paths, control); },
      [places](Napi::Env env) { return toBuffer(env, std::move(*places)); });
}

std::vector<uint8_t> findAllBelow(const Pages &pages, std::string_view paths, const Control &control) {
  Writer writer;
  Cursor cursor(pages);
  for (Reader reader(paths); !reader.done();) {
    control.checkCancelled();
    std::string path(reader.bytes());
    // All below a directory comes at once after it, and nothing but that begins like this.
    if (!path.empty()) path += '/';
    while (cursor.valid() && compare(cursor.path(), path) <= 0) cursor.next();
    writer.number<uint8_t>(cursor.valid() && cursor.path().starts_with(path));
  }
  return std::move(writer.bytes_);
}

// findBelow(pages, paths, control): resolves to whether there are entries below each of some paths.
Napi::Value findBelow(const Napi::CallbackInfo &info) {
  Pages pages = pagesOf(info[0]);
  std::string_view paths = bytesOf(info[1]);
  auto found = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[2], {info[0], info[1]},
      [pages, paths, found](const Control &control) { *found = findAllBelow(pages, paths, control); },
      [found](Napi::Env env) { return toBuffer(env, std::move(*found)); });
}

// Reads the fields of the body of an entry.
class Body {
 public:
  Body(std::string_view bytes, const std::string &path) : bytes_(bytes), path_(path) {}
  std::string_view rest() const { return bytes_.substr(at_); }
  uint64_t varint() { return readVarint(bytes_, at_, bytes_.size(), path_); }
  void skipBytes() {
    uint64_t length = varint();
    if (length > bytes_.size() - at_) fail("page", path_, EBADMSG);
    at_ += length;
  }

 private:
  std::string_view bytes_;
  const std::string &path_;
  size_t at_ = 0;
};

// The digest of a file that has data; empty for all else.
std::string_view digestOf(std::string_view bytes, const std::string &path) {
  constexpr uint64_t kFile = 1;
  Body body(bytes, path);
  if (body.varint() != kFile) return {};
  for (int field = 0; field < 6; field++) body.varint();  // mode, uid, gid, seconds, nanoseconds, flags
  for (uint64_t count = body.varint(); count > 0; count--) {
    body.skipBytes();
    body.skipBytes();
  }
  for (uint64_t names = body.varint(); names > 0; names--) body.skipBytes();
  body.varint();  // size
  for (uint64_t holes = body.varint(); holes > 0; holes--) {
    body.varint();
    body.varint();
  }
  auto digest = body.rest();
  if (!digest.empty() && digest.size() != kDigestBytes) fail("page", path, EBADMSG);
  return digest;
}

void markKnown(const Page &page, std::string_view digests, std::vector<uint8_t> &known) {
  Pages alone{page};
  for (Cursor cursor(alone); cursor.valid(); cursor.next()) {
    auto digest = digestOf(cursor.body(), cursor.path());
    if (digest.empty()) continue;
    size_t low = 0, high = known.size();
    while (low < high) {
      size_t middle = (low + high) / 2;
      int order = std::memcmp(digests.data() + middle * kDigestBytes, digest.data(), kDigestBytes);
      if (order == 0) std::atomic_ref(known[middle]).store(1, std::memory_order_relaxed);
      if (order == 0) break;
      order < 0 ? low = middle + 1 : high = middle;
    }
  }
}

// findDigests(pages, digests, control): resolves to which of the digests, which ascend, are known.
Napi::Value findDigests(const Napi::CallbackInfo &info) {
  Pages pages = pagesOf(info[0]);
  std::string_view digests = bytesOf(info[1]);
  auto known = std::make_shared<std::vector<uint8_t>>(digests.size() / kDigestBytes);
  return Job::run(
      info.Env(), info[2], {info[0], info[1]},
      [pages, digests, known](const Control &control) {
        forEachParallel(pages.size(), [&](size_t index) {
          control.checkCancelled();
          markKnown(pages[index], digests, *known);
        });
      },
      [known](Napi::Env env) { return toBuffer(env, std::move(*known)); });
}

}  // namespace

void initDiff(Napi::Env env, Napi::Object exports) {
  exports.Set("comparePages", Napi::Function::New(env, comparePages));
  exports.Set("matchPages", Napi::Function::New(env, matchPages));
  exports.Set("findPaths", Napi::Function::New(env, findPaths));
  exports.Set("findBelow", Napi::Function::New(env, findBelow));
  exports.Set("findDigests", Napi::Function::New(env, findDigests));
}

}  // namespace native

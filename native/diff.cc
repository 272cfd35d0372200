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
// `page` is the number of one; `entry` counts entries in the page; `offset` and `length` say where in it the body of the
// entry is.
#include <cstring>

#include "native.h"
#include "pages.h"

namespace native {
namespace {

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
    int order = !a.valid() ? 1 : !b.valid() ? -1 : comparePaths(a.path(), b.path());
    if (order != 0 || a.body() != b.body()) {
      writer.bytes(order < 0 ? a.path() : b.path());
      order <= 0 ? writeSide(writer, a) : writer.number(kNoPage);
      order >= 0 ? writeSide(writer, b) : writer.number(kNoPage);
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
    int order = a.valid() ? comparePaths(a.path(), b.path()) : 1;
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
    while (cursor.valid() && (order = comparePaths(cursor.path(), path)) < 0) cursor.next();
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
    while (cursor.valid() && comparePaths(cursor.path(), path) <= 0) cursor.next();
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

// Compares two sorted runs of manifest pages (src/image/page.ts has their grammar) without decoding what is
// the same in both.
//
//   differences = (path:bytes have:side want:side)*
//   side        = page:u32 [entry:u32 body:bytes]      page 0xffffffff, and no more: there is no such entry on this side
//   place       = page:u32 entry:u32 offset:u32 length:u32    page 0xffffffff: there is no such entry on this side
//   paths       = (path:bytes)*                        ascending
//   places      = place*                               one for each path
//   found       = u8*                                  one for each path: whether there are entries below it
//   origins     = (page:u32 entry:u32)*                one for each entry wanted: the entry with its path that is there
//
// `page` is the number of one; `entry` counts entries in the page; `offset` and `length` say where in it the body of the
// entry is.
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

}  // namespace

void initDiff(Napi::Env env, Napi::Object exports) {
  exports.Set("comparePages", Napi::Function::New(env, comparePages));
  exports.Set("matchPages", Napi::Function::New(env, matchPages));
  exports.Set("findPaths", Napi::Function::New(env, findPaths));
  exports.Set("findBelow", Napi::Function::New(env, findBelow));
}

}  // namespace native

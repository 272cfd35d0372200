// Reads whole pieces of data that are used only if they have the right digests.
//
//   parts = (offset:u64 length:u32 digest:64 bytes)*
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "native.h"
#include "sha512-lanes.h"
#include "sha512-many.h"

namespace native {
namespace {

using Piece = std::vector<uint8_t>;
using Pieces = std::vector<Piece>;

// At most `length` bytes from `offset`; fewer where the file ends.
Piece readPiece(int fd, size_t length, uint64_t offset, std::string_view path) {
  Piece piece(length);
  size_t at = 0;
  while (at < length) {
    ssize_t got = check(pread(fd, piece.data() + at, length - at, static_cast<off_t>(offset + at)), "pread", path);
    if (got == 0) break;
    at += static_cast<size_t>(got);
  }
  piece.resize(at);
  return piece;
}

// Reads pieces, each by `read(index)`, on several threads. Of one that has not the digest that `digestOf(index)` gives,
// `refuse(index)` is called.
template <typename Read, typename DigestOf, typename Refuse>
void readPieces(Pieces &pieces, const Read &read, const DigestOf &digestOf, const Refuse &refuse) {
  forEachParallel(pieces.size(), [&](size_t index) { pieces[index] = read(index); });
  // Each processor hashes as many together as there are, but not so few that lanes of it are left empty.
  size_t processors = std::max(1u, std::thread::hardware_concurrency());
  size_t together = std::max((pieces.size() + processors - 1) / processors, kLanes);
  forEachParallel((pieces.size() + together - 1) / together, [&](size_t group) {
    size_t start = group * together, end = std::min(start + together, pieces.size());
    std::vector<std::string_view> views;
    for (size_t index = start; index < end; index++) {
      views.emplace_back(reinterpret_cast<const char *>(pieces[index].data()), pieces[index].size());
    }
    auto digests = hashPieces(views);
    for (size_t index = start; index < end; index++) {
      if (std::memcmp(digests[index - start].data(), digestOf(index).data(), kDigestBytes) != 0) refuse(index);
    }
  });
}

Piece readObject(int objects, std::string_view digest, uint64_t limit) {
  auto path = objectPath(digest);
  Descriptor fd(openat(objects, path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  check(fd.operator int(), "openat", path);
  struct stat stat {};
  check(fstat(fd, &stat), "fstat", path);
  if (!S_ISREG(stat.st_mode)) fail("fstat", path, ENXIO);
  auto size = static_cast<uint64_t>(stat.st_size);
  if (size > limit) fail("fstat", path, EFBIG);
  return readPiece(fd, size, 0, path);
}

Napi::Value toBuffers(Napi::Env env, Pieces &pieces) {
  auto buffers = Napi::Array::New(env, pieces.size());
  for (uint32_t at = 0; at < pieces.size(); at++) buffers.Set(at, toBuffer(env, std::move(pieces[at])));
  return buffers;
}

// readObjects(objects, digests, limit, control): resolves to the objects, in the order asked. Of one that is not
// good it tells by the error: ELOOP or ENXIO of what is no file, EFBIG of one that has
// more than `limit` bytes, EBADMSG of one with another digest.
Napi::Value readObjects(const Napi::CallbackInfo &info) {
  int objects = info[0].As<Napi::Number>().Int32Value();
  std::string_view digests = bytesOf(info[1]);
  auto limit = static_cast<uint64_t>(info[2].As<Napi::Number>().Int64Value());
  auto pieces = std::make_shared<Pieces>(digests.size() / kDigestBytes);
  return Job::run(
      info.Env(), info[3], {info[1]},
      [objects, digests, limit, pieces](const Control &) {
        auto digestOf = [&](size_t index) { return digests.substr(index * kDigestBytes, kDigestBytes); };
        readPieces(
            *pieces, [&](size_t index) { return readObject(objects, digestOf(index), limit); }, digestOf,
            [&](size_t index) { fail("hash", objectPath(digestOf(index)), EBADMSG); });
      },
      [pieces](Napi::Env env) { return toBuffers(env, *pieces); });
}

struct Part {
  uint64_t offset;
  uint32_t length;
  std::string_view digest;
};

std::vector<Part> parseParts(std::string_view packed) {
  std::vector<Part> parts;
  for (Reader reader(packed); !reader.done();) {
    uint64_t offset = reader.u64();
    uint32_t length = reader.u32();
    parts.push_back({offset, length, reader.raw(kDigestBytes)});
  }
  return parts;
}

// readParts(file, parts, control): resolves to parts of a file, in the order asked. Fails with EBADMSG and the
// offset as its detail when one has another digest.
Napi::Value readParts(const Napi::CallbackInfo &info) {
  int file = info[0].As<Napi::Number>().Int32Value();
  std::string_view packed = bytesOf(info[1]);
  auto pieces = std::make_shared<Pieces>();
  return Job::run(
      info.Env(), info[2], {info[1]},
      [file, packed, pieces](const Control &) {
        auto parts = parseParts(packed);
        pieces->resize(parts.size());
        readPieces(
            *pieces, [&](size_t index) { return readPiece(file, parts[index].length, parts[index].offset, {}); },
            [&](size_t index) { return parts[index].digest; },
            [&](size_t index) { fail("hash", {}, EBADMSG, std::to_string(parts[index].offset)); });
      },
      [pieces](Napi::Env env) { return toBuffers(env, *pieces); });
}

}  // namespace

void initRead(Napi::Env env, Napi::Object exports) {
  exports.Set("readObjects", Napi::Function::New(env, readObjects));
  exports.Set("readParts", Napi::Function::New(env, readParts));
}

}  // namespace native

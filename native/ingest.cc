// Hashing files, and keeping their data as objects: what is stored is what was hashed, read once.
//
//   files    = (path:bytes size:u64 mtimeSeconds:i64 ctimeSeconds:i64 mtimeNanoseconds:u32 ctimeNanoseconds:u32
//              segmentCount:u32 (offset:u64 length:u64)* known:u8 [digest:64 bytes if known])*
//   digests  = (outcome:u8 digest:64 bytes)*                one for each file; 0 read, 1 read, and an object was added,
//                                                           2 not read: the object of the known digest is there
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <optional>

#include "native.h"
#include "object-directory.h"
#include "sha512.h"

namespace native {
namespace {

// Data up to this size is held in memory until its digest says whether it is known already.
constexpr size_t kBufferBytes = 1 << 20;

struct File {
  std::string_view path;
  uint64_t size;
  int64_t mtimeSeconds, ctimeSeconds;
  uint32_t mtimeNanoseconds, ctimeNanoseconds;
  std::vector<std::pair<uint64_t, uint64_t>> segments;
  uint64_t dataSize = 0;
  // What the data is known to be, from when it was read before.
  std::optional<Digest> known;
};

std::vector<File> parseFiles(std::string_view packed) {
  std::vector<File> files;
  for (Reader reader(packed); !reader.done();) {
    File file;
    file.path = reader.bytes();
    file.size = reader.u64();
    file.mtimeSeconds = static_cast<int64_t>(reader.u64());
    file.ctimeSeconds = static_cast<int64_t>(reader.u64());
    file.mtimeNanoseconds = reader.u32();
    file.ctimeNanoseconds = reader.u32();
    for (uint32_t count = reader.u32(); count > 0; count--) {
      uint64_t offset = reader.u64();
      uint64_t length = reader.u64();
      file.segments.emplace_back(offset, length);
      file.dataSize += length;
    }
    if (reader.u8() != 0) {
      auto digest = reader.raw(kDigestBytes);
      std::memcpy(file.known.emplace().data(), digest.data(), kDigestBytes);
    }
    files.push_back(std::move(file));
  }
  return files;
}

void checkUnchanged(int fd, const File &file) {
  struct stat now {};
  check(fstat(fd, &now), "fstat", file.path);
  bool same = static_cast<uint64_t>(now.st_size) == file.size && now.st_mtim.tv_sec == file.mtimeSeconds &&
              now.st_mtim.tv_nsec == file.mtimeNanoseconds && now.st_ctim.tv_sec == file.ctimeSeconds &&
              now.st_ctim.tv_nsec == file.ctimeNanoseconds;
  // ESTALE: the file is no longer what the scan saw.
  if (!same) fail("fstat", file.path, ESTALE);
}

// A file beneath `root`, open, that is as it was scanned.
Descriptor openUnchanged(int root, const File &file) {
  Descriptor fd(openBeneath(root, file.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  check(fd.operator int(), "openat2", file.path);
  checkUnchanged(fd, file);
  return fd;
}

// Hands the data of a file on, piece by piece.
template <typename Consume>
void readData(int fd, const File &file, std::vector<char> &buffer, const Control &control, Consume consume) {
  for (auto [offset, length] : file.segments) {
    while (length > 0) {
      control.checkCancelled();
      size_t want = std::min<uint64_t>(length, buffer.size());
      ssize_t got = check(pread(fd, buffer.data(), want, static_cast<off_t>(offset)), "pread", file.path);
      if (got == 0) fail("pread", file.path, ESTALE);
      consume(buffer.data(), static_cast<size_t>(got));
      control.addBytes(static_cast<uint64_t>(got));
      offset += static_cast<uint64_t>(got);
      length -= static_cast<uint64_t>(got);
    }
  }
}

enum Outcome : uint8_t { kRead = 0, kAdded = 1, kNotRead = 2 };

struct Ingested {
  Digest digest;
  Outcome outcome = kRead;
};

Ingested ingestSmall(int fd, const File &file, const ObjectDirectory &objects, std::vector<char> &buffer,
                     const Control &control) {
  std::string data;
  data.reserve(file.dataSize);
  readData(fd, file, buffer, control, [&](const char *piece, size_t length) { data.append(piece, length); });
  checkUnchanged(fd, file);
  Sha512 hash;
  hash.update(data.data(), data.size());
  Ingested result{hash.finish()};
  if (!objects.exists() || objects.has(result.digest, data.size())) return result;
  TemporaryObject object(objects);
  object.write(data.data(), data.size());
  object.publish(result.digest);
  result.outcome = kAdded;
  return result;
}

Ingested ingestLarge(int fd, const File &file, const ObjectDirectory &objects, std::vector<char> &buffer,
                     const Control &control) {
  std::unique_ptr<TemporaryObject> object;
  if (objects.exists()) object = std::make_unique<TemporaryObject>(objects);
  Sha512 hash;
  readData(fd, file, buffer, control, [&](const char *piece, size_t length) {
    hash.update(piece, length);
    if (object) object->write(piece, length);
  });
  checkUnchanged(fd, file);
  Ingested result{hash.finish()};
  if (!object || objects.has(result.digest, file.dataSize)) return result;
  object->publish(result.digest);
  result.outcome = kAdded;
  return result;
}

std::vector<char> &threadBuffer() {
  thread_local std::vector<char> buffer(kBufferBytes);
  return buffer;
}

Ingested ingest(int root, const File &file, const ObjectDirectory &objects, const Control &control) {
  if (file.known && objects.exists() && objects.has(*file.known, file.dataSize)) {
    control.addItems(1);
    control.addBytes(file.dataSize);
    return {*file.known, kNotRead};
  }
  auto fd = openUnchanged(root, file);
  auto &buffer = threadBuffer();
  auto result = file.dataSize <= kBufferBytes ? ingestSmall(fd, file, objects, buffer, control)
                                              : ingestLarge(fd, file, objects, buffer, control);
  control.addItems(1);
  return result;
}

// ingestFiles(root, files, objects, temporary, control): resolves to the digests. Without a directory of
// objects (-1) it only hashes.
Napi::Value ingestFiles(const Napi::CallbackInfo &info) {
  int root = info[0].As<Napi::Number>().Int32Value();
  std::string_view packed = bytesOf(info[1]);
  ObjectDirectory objects(info[2].As<Napi::Number>().Int32Value(), info[3].As<Napi::Number>().Int32Value());
  auto digests = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[4], {info[1]},
      [root, packed, objects, digests](const Control &control) {
        auto files = parseFiles(packed);
        digests->resize(files.size() * (1 + kDigestBytes));
        forEachParallel(files.size(), [&](size_t index) {
          auto result = ingest(root, files[index], objects, control);
          uint8_t *at = digests->data() + index * (1 + kDigestBytes);
          at[0] = result.outcome;
          std::memcpy(at + 1, result.digest.data(), kDigestBytes);
        });
      },
      [digests](Napi::Env env) { return toBuffer(env, std::move(*digests)); });
}

// readFiles(root, files, control): resolves to the data of the files, in their order, all of it in memory.
Napi::Value readFiles(const Napi::CallbackInfo &info) {
  int root = info[0].As<Napi::Number>().Int32Value();
  std::string_view packed = bytesOf(info[1]);
  auto data = std::make_shared<std::vector<std::vector<uint8_t>>>();
  return Job::run(
      info.Env(), info[2], {info[1]},
      [root, packed, data](const Control &control) {
        auto files = parseFiles(packed);
        data->resize(files.size());
        forEachParallel(files.size(), [&](size_t index) {
          const File &file = files[index];
          auto fd = openUnchanged(root, file);
          auto &bytes = (*data)[index];
          bytes.reserve(file.dataSize);
          readData(fd, file, threadBuffer(), control,
                   [&](const char *piece, size_t length) { bytes.insert(bytes.end(), piece, piece + length); });
          checkUnchanged(fd, file);
        });
      },
      [data](Napi::Env env) {
        auto buffers = Napi::Array::New(env, data->size());
        for (uint32_t at = 0; at < data->size(); at++) buffers.Set(at, toBuffer(env, std::move((*data)[at])));
        return buffers;
      });
}

// openFile(root, file): opens one packed file, whose descriptor is the caller's to close.
Napi::Value openFile(const Napi::CallbackInfo &info) {
  int root = info[0].As<Napi::Number>().Int32Value();
  std::string_view packed = bytesOf(info[1]);
  auto opened = std::make_shared<Descriptor>();
  return Job::run(
      info.Env(), info[2], {info[1]},
      [root, packed, opened](const Control &) {
        for (const File &file : parseFiles(packed)) *opened = openUnchanged(root, file);
      },
      [opened](Napi::Env env) { return Napi::Number::New(env, opened->release()); });
}

}  // namespace

void initIngest(Napi::Env env, Napi::Object exports) {
  exports.Set("ingestFiles", Napi::Function::New(env, ingestFiles));
  exports.Set("readFiles", Napi::Function::New(env, readFiles));
  exports.Set("openFile", Napi::Function::New(env, openFile));
}

}  // namespace native

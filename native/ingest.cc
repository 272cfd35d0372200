// Hashing files, and keeping their data as objects: what is stored is what was hashed, read once.
//
//   files    = (path:bytes size:u64 mtimeSeconds:i64 ctimeSeconds:i64 mtimeNanoseconds:u32 ctimeNanoseconds:u32
//              segmentCount:u32 (offset:u64 length:u64)* known:u8 [digest:64 bytes if known])*
//   digests  = (outcome:u8 digest:64 bytes)*                one for each file; 0 read, 1 read, and an object was added,
//                                                           2 not read: the object of the known digest is there
//   checks   = (state:u8 size:u64 sparse)*                  one for each digest asked for: 0 good, 1 missing, 2 damaged
//   sparse   = count:u32 (start:u64 count:u64)* [has:u8 (digest if has)]
//              runs of blocks of zeros, and, if there are any, the digest of all else, if there is any
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <optional>

#include "native.h"
#include "sha512.h"

namespace native {
namespace {

// Data up to this size is held in memory until its digest says whether it is known already.
constexpr size_t kBufferBytes = 1 << 20;

std::string objectPath(const Digest &digest) {
  return native::objectPath({reinterpret_cast<const char *>(digest.data()), digest.size()});
}

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

void writeAll(int fd, const char *data, size_t length, std::string_view path) {
  while (length > 0) {
    ssize_t written = check(write(fd, data, length), "write", path);
    data += written;
    length -= static_cast<size_t>(written);
  }
}

// Where objects are kept: a directory of them, and one on the same file system for what is not finished.
class ObjectDirectory {
 public:
  ObjectDirectory(int objects, int temporary) : objects_(objects), temporary_(temporary) {}
  bool exists() const { return objects_ >= 0; }

  bool has(const Digest &digest, uint64_t size) const {
    struct stat stat {};
    auto path = objectPath(digest);
    if (fstatat(objects_, path.c_str(), &stat, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) return false;
      fail("fstatat", path);
    }
    return S_ISREG(stat.st_mode) && static_cast<uint64_t>(stat.st_size) == size;
  }

  // A file of its own; `name` receives what it is called.
  Descriptor create(std::string &name) const {
    static std::atomic<uint64_t> next{0};
    name = std::to_string(getpid()) + "-" + std::to_string(next++);
    return Descriptor(check(openat(temporary_, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444), "openat", name));
  }

  void publish(const std::string &name, const Digest &digest) const {
    auto path = objectPath(digest);
    check(renameat(temporary_, name.c_str(), objects_, path.c_str()), "renameat", path);
  }

  void discard(const std::string &name) const { unlinkat(temporary_, name.c_str(), 0); }

 private:
  int objects_;
  int temporary_;
};

// A temporary object that goes with its scope unless it is published.
class TemporaryObject {
 public:
  explicit TemporaryObject(const ObjectDirectory &directory) : directory_(directory), file_(directory.create(name_)) {}
  ~TemporaryObject() {
    if (!name_.empty()) directory_.discard(name_);
  }
  void write(const char *data, size_t length) { writeAll(file_, data, length, name_); }
  void publish(const Digest &digest) {
    int fd = file_.release();
    check(close(fd), "close", name_);
    directory_.publish(name_, digest);
    name_.clear();
  }

 private:
  const ObjectDirectory &directory_;
  std::string name_;
  Descriptor file_;
};

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
  Descriptor fd(openBeneath(root, file.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  check(fd.operator int(), "openat2", file.path);
  checkUnchanged(fd, file);
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

enum State : uint8_t { kGood = 0, kMissing = 1, kDamaged = 2 };

struct Run {
  uint64_t start, count;
};

bool isZero(const char *data, size_t length) {
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
  static constexpr size_t kBlockBytes = 4096;
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

// Reads as much as the buffer holds, less only where the file ends. Returns -1 with errno.
ssize_t fill(int fd, std::vector<char> &buffer) {
  size_t length = 0;
  while (length < buffer.size()) {
    ssize_t got = read(fd, buffer.data() + length, buffer.size() - length);
    if (got < 0) return got;
    if (got == 0) break;
    length += static_cast<size_t>(got);
  }
  return static_cast<ssize_t>(length);
}

State checkObject(int objects, std::string_view wanted, ObjectHash &hash, uint64_t &size, const Control &control) {
  auto path = native::objectPath(wanted);
  Descriptor fd(openat(objects, path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (fd < 0 && errno == ENOENT) return kMissing;
  // A symbolic link is none, wherever it leads; nor is a socket.
  if (fd < 0 && (errno == ELOOP || errno == ENXIO)) return kDamaged;
  check(fd.operator int(), "openat", path);
  auto &buffer = threadBuffer();
  for (;;) {
    control.checkCancelled();
    ssize_t length = fill(fd, buffer);
    // What cannot be read is as good as lost; the caller names the object.
    if (length < 0 && (errno == EIO || errno == EISDIR)) return kDamaged;
    check(length, "read", path);
    hash.update(buffer.data(), static_cast<size_t>(length));
    size += static_cast<uint64_t>(length);
    control.addBytes(static_cast<uint64_t>(length));
    if (static_cast<size_t>(length) < buffer.size()) break;
  }
  control.addItems(1);
  return std::memcmp(hash.finish().data(), wanted.data(), kDigestBytes) == 0 ? kGood : kDamaged;
}

std::vector<uint8_t> checkAll(int objects, std::string_view digests, bool sparse, const Control &control) {
  std::vector<Writer> checks(digests.size() / kDigestBytes);
  forEachParallel(checks.size(), [&](size_t index) {
    ObjectHash hash(sparse);
    uint64_t size = 0;
    auto state = checkObject(objects, digests.substr(index * kDigestBytes, kDigestBytes), hash, size, control);
    checks[index].number<uint8_t>(state);
    checks[index].number<uint64_t>(size);
    hash.write(checks[index]);
  });
  Writer all;
  for (const auto &check : checks) all.bytes_.insert(all.bytes_.end(), check.bytes_.begin(), check.bytes_.end());
  return std::move(all.bytes_);
}

// checkObjects(objects, digests, sparse, control): reads and hashes objects; resolves to the packed checks, with
// nothing about zeros unless `sparse`.
Napi::Value checkObjects(const Napi::CallbackInfo &info) {
  int objects = info[0].As<Napi::Number>().Int32Value();
  std::string_view digests = bytesOf(info[1]);
  bool sparse = info[2].As<Napi::Boolean>();
  auto checks = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[3], {info[1]},
      [objects, digests, sparse, checks](const Control &control) {
        *checks = checkAll(objects, digests, sparse, control);
      },
      [checks](Napi::Env env) { return toBuffer(env, std::move(*checks)); });
}

}  // namespace

void initIngest(Napi::Env env, Napi::Object exports) {
  exports.Set("ingestFiles", Napi::Function::New(env, ingestFiles));
  exports.Set("checkObjects", Napi::Function::New(env, checkObjects));
}

}  // namespace native

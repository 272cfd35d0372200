// What every file of the addon shares: failures, cancellation and progress, work off the main thread,
// and opening paths beneath a directory.
#pragma once

#include <napi.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace native {

// A system call that failed. `path` is bytes, as the kernel had them.
struct Failure {
  int error;
  std::string syscall;
  std::string path;
  std::string detail;
};

[[noreturn]] inline void fail(const char *syscall, std::string_view path = {}, int error = errno,
                              std::string detail = {}) {
  throw Failure{error, syscall, std::string(path), std::move(detail)};
}

// Returns `result`, or throws with errno when it is negative.
template <typename T>
T check(T result, const char *syscall, std::string_view path = {}) {
  if (result < 0) fail(syscall, path);
  return result;
}

// Three u64 in memory that the caller's JavaScript shares with the work: cancel, items done, bytes done.
class Control {
 public:
  explicit Control(uint64_t *words) : words_(words) {}

  void checkCancelled() const {
    if (words_ && std::atomic_ref(words_[0]).load(std::memory_order_relaxed)) fail("cancelled", {}, ECANCELED);
  }
  void addItems(uint64_t count) const { add(1, count); }
  void addBytes(uint64_t count) const { add(2, count); }

 private:
  void add(int word, uint64_t count) const {
    if (words_) std::atomic_ref(words_[word]).fetch_add(count, std::memory_order_relaxed);
  }
  uint64_t *words_;
};

// A file descriptor that is closed with its scope.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor &operator=(Descriptor &&other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  ~Descriptor();
  operator int() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// Work off the main thread, as a promise. Three parts, in the order in which they are called:
//   - the arguments are taken on the main thread; what the work refers to is kept alive by `keep`;
//   - `work` runs on the pool and must not touch anything of Napi; it reports by throwing Failure;
//   - `finish` runs on the main thread and makes the value of the promise.
class Job : public Napi::AsyncWorker {
 public:
  using Work = std::function<void(const Control &)>;
  using Finish = std::function<Napi::Value(Napi::Env)>;

  // Queues the work; the promise is settled on the main thread. `control` may be undefined.
  static Napi::Value run(Napi::Env env, Napi::Value control, std::vector<Napi::Value> keep, Work work,
                         Finish finish);

 private:
  Job(Napi::Env env, Work work, Finish finish);
  void Execute() override;
  void OnOK() override;
  void OnError(const Napi::Error &error) override;

  Napi::Promise::Deferred deferred_;
  std::vector<Napi::Reference<Napi::Value>> kept_;
  Control control_;
  Work work_;
  Finish finish_;
  Failure failure_;
};

// The error that JavaScript sees: `errno`, `syscall`, `path` (a Buffer, if there is one), `detail`.
Napi::Error toError(Napi::Env env, const Failure &failure);

// Bytes of a Buffer argument; throws a TypeError when it is none.
std::string_view bytesOf(const Napi::Value &value);
// A Buffer that takes over `bytes`.
Napi::Value toBuffer(Napi::Env env, std::vector<uint8_t> bytes);

// Opens `path` (relative; empty is `root` itself) beneath `root`: no symbolic link is followed, no other
// file system entered, nothing outside reached (openat2(2)). Longer paths than the kernel takes are opened
// in parts. Returns -1 with errno.
int openBeneath(int root, std::string_view path, int flags, int mode = 0);

constexpr size_t kDigestBytes = 64;

// Where an object lies in a directory of objects: `ab/abcd...`, by its digest in hex.
std::string objectPath(std::string_view digest);

// Splits a path into directory and name.
std::pair<std::string_view, std::string_view> splitPath(std::string_view path);

// Runs `work(index)` for 0 <= index < count on several threads, stops at the first failure, and throws it.
void forEachParallel(size_t count, const std::function<void(size_t)> &work);

// Reads packed little-endian fields; throws EINVAL when they end too early.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool done() const { return at_ == bytes_.size(); }
  size_t at() const { return at_; }
  uint8_t u8() { return number<uint8_t>(); }
  uint32_t u32() { return number<uint32_t>(); }
  uint64_t u64() { return number<uint64_t>(); }
  std::string_view raw(size_t length) {
    if (length > bytes_.size() - at_) fail("decode", {}, EINVAL);
    at_ += length;
    return bytes_.substr(at_ - length, length);
  }
  std::string_view bytes() { return raw(u32()); }

 private:
  template <typename T>
  T number() {
    T value;
    __builtin_memcpy(&value, raw(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view bytes_;
  size_t at_ = 0;
};

// Appends packed little-endian fields.
class Writer {
 public:
  std::vector<uint8_t> bytes_;
  template <typename T>
  void number(T value) {
    const auto *start = reinterpret_cast<const uint8_t *>(&value);
    bytes_.insert(bytes_.end(), start, start + sizeof(T));
  }
  void raw(std::string_view value) { bytes_.insert(bytes_.end(), value.begin(), value.end()); }
  void bytes(std::string_view value) {
    number<uint32_t>(value.size());
    raw(value);
  }
};

// Reads all of `length` bytes; a file that ends before has changed, which fails with ESTALE.
void readExactly(int fd, char *data, size_t length, off_t offset, std::string_view path);

// Writes all of `length` bytes.
void writeExactly(int fd, const char *data, size_t length, off_t offset, std::string_view path);

void initBlock(Napi::Env env, Napi::Object exports);
void initMkfs(Napi::Env env, Napi::Object exports);
void initMount(Napi::Env env, Napi::Object exports);
void initSync(Napi::Env env, Napi::Object exports);
void initScan(Napi::Env env, Napi::Object exports);
void initIngest(Napi::Env env, Napi::Object exports);
void initCheck(Napi::Env env, Napi::Object exports);
void initStore(Napi::Env env, Napi::Object exports);
void initRead(Napi::Env env, Napi::Object exports);
void initDiff(Napi::Env env, Napi::Object exports);
void initNewData(Napi::Env env, Napi::Object exports);
void initMatchScan(Napi::Env env, Napi::Object exports);
void initScanDevice(Napi::Env env, Napi::Object exports);
void initCompare(Napi::Env env, Napi::Object exports);
void initLocate(Napi::Env env, Napi::Object exports);
void initPatch(Napi::Env env, Napi::Object exports);
void initLoop(Napi::Env env, Napi::Object exports);
void initPartition(Napi::Env env, Napi::Object exports);
void initSocket(Napi::Env env, Napi::Object exports);

}  // namespace native

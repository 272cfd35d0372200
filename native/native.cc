#include "native.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

namespace native {

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

Job::Job(Napi::Env env, Work work, Finish finish)
    : AsyncWorker(env),
      deferred_(Napi::Promise::Deferred::New(env)),
      control_(nullptr),
      work_(std::move(work)),
      finish_(std::move(finish)),
      failure_{0, {}, {}, {}} {}

Napi::Value Job::run(Napi::Env env, Napi::Value control, std::vector<Napi::Value> keep, Work work,
                     Finish finish) {
  auto *job = new Job(env, std::move(work), std::move(finish));
  if (!control.IsUndefined()) {
    auto words = control.As<Napi::BigUint64Array>();
    job->control_ = Control(words.Data());
    keep.push_back(control);
  }
  for (auto &value : keep) job->kept_.push_back(Napi::Reference<Napi::Value>::New(value, 1));
  auto promise = job->deferred_.Promise();
  job->Queue();
  return promise;
}

void Job::Execute() {
  try {
    work_(control_);
  } catch (Failure &failure) {
    failure_ = std::move(failure);
    SetError(failure_.syscall);
  } catch (const std::bad_alloc &) {
    failure_ = {ENOMEM, "malloc", {}, {}};
    SetError(failure_.syscall);
  }
}

void Job::OnOK() { deferred_.Resolve(finish_(Env())); }

void Job::OnError(const Napi::Error &) { deferred_.Reject(toError(Env(), failure_).Value()); }

Napi::Error toError(Napi::Env env, const Failure &failure) {
  auto error = Napi::Error::New(env, failure.syscall);
  error.Set("errno", Napi::Number::New(env, failure.error));
  error.Set("syscall", Napi::String::New(env, failure.syscall));
  if (!failure.path.empty()) {
    error.Set("path", Napi::Buffer<char>::Copy(env, failure.path.data(), failure.path.size()));
  }
  if (!failure.detail.empty()) error.Set("detail", Napi::String::New(env, failure.detail));
  return error;
}

std::string_view bytesOf(const Napi::Value &value) {
  if (!value.IsBuffer()) throw Napi::TypeError::New(value.Env(), "a Buffer was expected");
  auto buffer = value.As<Napi::Buffer<char>>();
  return {buffer.Data(), buffer.Length()};
}

Napi::Value toBuffer(Napi::Env env, std::vector<uint8_t> bytes) {
  if (bytes.empty()) return Napi::Buffer<uint8_t>::New(env, 0);
  auto *owned = new std::vector<uint8_t>(std::move(bytes));
  return Napi::Buffer<uint8_t>::NewOrCopy(
      env, owned->data(), owned->size(), [](Napi::Env, uint8_t *, std::vector<uint8_t> *held) { delete held; },
      owned);
}

namespace {

// More than processors: while some threads wait for the device, others hash. Devices in a cloud are slow to
// answer and answer many at once.
constexpr unsigned kThreads = 8;

// Leaves room for the kernel's limit of 4096 with its NUL.
constexpr size_t kMaxOpenBytes = 4000;

int openPart(int directory, std::string_view path, int flags, int mode) {
  char text[kMaxOpenBytes + 1];
  std::memcpy(text, path.data(), path.size());
  text[path.size()] = 0;
  struct open_how how {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = static_cast<uint64_t>(mode);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  return static_cast<int>(syscall(SYS_openat2, directory, text, &how, sizeof(how)));
}

}  // namespace

int openBeneath(int root, std::string_view path, int flags, int mode) {
  if (path.empty()) path = ".";
  Descriptor at;
  int directory = root;
  while (path.size() > kMaxOpenBytes) {
    auto slash = path.rfind('/', kMaxOpenBytes);
    if (slash == std::string_view::npos) {
      errno = ENAMETOOLONG;
      return -1;
    }
    Descriptor next(openPart(directory, path.substr(0, slash), O_PATH | O_DIRECTORY, 0));
    if (next < 0) return -1;
    at = std::move(next);
    directory = at;
    path = path.substr(slash + 1);
  }
  return openPart(directory, path, flags, mode);
}

std::string objectPath(std::string_view digest) {
  static const char *hex = "0123456789abcdef";
  std::string text;
  for (char byte : digest) {
    text += hex[static_cast<uint8_t>(byte) >> 4];
    text += hex[static_cast<uint8_t>(byte) & 15];
  }
  return text.substr(0, 2) + "/" + text;
}

std::pair<std::string_view, std::string_view> splitPath(std::string_view path) {
  auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return {std::string_view(), path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

void readExactly(int fd, char *data, size_t length, off_t offset, std::string_view path) {
  while (length > 0) {
    ssize_t got = check(pread(fd, data, length, offset), "pread", path);
    if (got == 0) fail("pread", path, ESTALE);
    data += got;
    offset += got;
    length -= static_cast<size_t>(got);
  }
}

void writeExactly(int fd, const char *data, size_t length, off_t offset, std::string_view path) {
  while (length > 0) {
    ssize_t written = check(pwrite(fd, data, length, offset), "pwrite", path);
    data += written;
    offset += written;
    length -= static_cast<size_t>(written);
  }
}

void forEachParallel(size_t count, const std::function<void(size_t)> &work) {
  std::atomic<size_t> next{0};
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::optional<Failure> first;
  auto loop = [&] {
    while (!stopped) {
      size_t index = next++;
      if (index >= count) return;
      try {
        work(index);
      } catch (Failure &failure) {
        std::lock_guard lock(mutex);
        if (!first) first = std::move(failure);
        stopped = true;
      } catch (const std::bad_alloc &) {
        std::lock_guard lock(mutex);
        if (!first) first = Failure{ENOMEM, "malloc", {}, {}};
        stopped = true;
      }
    }
  };
  size_t threads = std::min<size_t>(count, std::max(kThreads, std::thread::hardware_concurrency()));
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; i++) others.emplace_back(loop);
  loop();
  for (auto &thread : others) thread.join();
  if (first) throw *first;
}

}  // namespace native

// Block devices: size, access, buffers, and making them read as zeros.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "native.h"

namespace native {
namespace {

int descriptorOf(const Napi::CallbackInfo &info) { return info[0].As<Napi::Number>().Int32Value(); }

// For system calls that return at once: throws the error of a failure.
template <typename Work>
auto atOnce(Napi::Env env, Work work) {
  try {
    return work();
  } catch (const Failure &failure) {
    throw toError(env, failure);
  }
}

Napi::Value blockDeviceSize(const Napi::CallbackInfo &info) {
  uint64_t size = 0;
  atOnce(info.Env(), [&] { return check(ioctl(descriptorOf(info), BLKGETSIZE64, &size), "ioctl BLKGETSIZE64"); });
  return Napi::BigInt::New(info.Env(), size);
}

Napi::Value isReadOnly(const Napi::CallbackInfo &info) {
  int readOnly = 0;
  atOnce(info.Env(), [&] { return check(ioctl(descriptorOf(info), BLKROGET, &readOnly), "ioctl BLKROGET"); });
  return Napi::Boolean::New(info.Env(), readOnly != 0);
}

Napi::Value flushBuffers(const Napi::CallbackInfo &info) {
  atOnce(info.Env(), [&] { return check(ioctl(descriptorOf(info), BLKFLSBUF, 0), "ioctl BLKFLSBUF"); });
  return info.Env().Undefined();
}

// Makes a range read as zeros if the device can do that by itself: the kernel refuses rather than write
// zeros block by block. Resolves to whether it did.
Napi::Value punchZeros(const Napi::CallbackInfo &info) {
  int fd = descriptorOf(info);
  bool exact = true;
  auto length = static_cast<off_t>(info[1].As<Napi::BigInt>().Int64Value(&exact));
  auto done = std::make_shared<bool>(false);
  return Job::run(
      info.Env(), info.Env().Undefined(), {},
      [fd, length, done](const Control &) {
        *done = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length) == 0;
        if (!*done && errno != EOPNOTSUPP) fail("fallocate");
      },
      [done](Napi::Env env) { return Napi::Boolean::New(env, *done); });
}

}  // namespace

void initBlock(Napi::Env env, Napi::Object exports) {
  exports.Set("blockDeviceSize", Napi::Function::New(env, blockDeviceSize));
  exports.Set("isReadOnly", Napi::Function::New(env, isReadOnly));
  exports.Set("flushBuffers", Napi::Function::New(env, flushBuffers));
  exports.Set("punchZeros", Napi::Function::New(env, punchZeros));
}

}  // namespace native

// Loop devices: a file as a block device for as long as a descriptor of it is open, kill -9 included.
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <cstring>

#include "native.h"

namespace native {
namespace {

// Another process may take the free device that the kernel named before we do; so often in a row is no chance.
constexpr int kAttempts = 64;

struct Attached {
  int fd = -1;
  std::string path;
};

// Returns false when somebody else was quicker.
bool configure(int device, int file, const std::string &name, uint32_t flags) {
  loop_config config{};
  config.fd = static_cast<uint32_t>(file);
  config.info.lo_flags = flags;
  // What `losetup` shows; the kernel makes no use of it.
  std::strncpy(reinterpret_cast<char *>(config.info.lo_file_name), name.c_str(), LO_NAME_SIZE - 1);
  if (ioctl(device, LOOP_CONFIGURE, &config) == 0) return true;
  if (errno == EBUSY) return false;
  // Not every file system can do direct I/O.
  if (errno == EINVAL && (flags & LO_FLAGS_DIRECT_IO)) return configure(device, file, name, flags & ~LO_FLAGS_DIRECT_IO);
  fail("ioctl LOOP_CONFIGURE", name);
}

Attached attachFile(int file, const std::string &name) {
  Descriptor control(check(open("/dev/loop-control", O_RDWR | O_CLOEXEC), "open", "/dev/loop-control"));
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    int number = check(ioctl(control, LOOP_CTL_GET_FREE), "ioctl LOOP_CTL_GET_FREE");
    std::string path = "/dev/loop" + std::to_string(number);
    Descriptor device(check(open(path.c_str(), O_RDWR | O_CLOEXEC), "open", path));
    if (configure(device, file, name, LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO)) return {device.release(), path};
  }
  fail("ioctl LOOP_CONFIGURE", name, EBUSY);
}

Napi::Value attachLoop(const Napi::CallbackInfo &info) {
  int file = info[0].As<Napi::Number>().Int32Value();
  std::string name = info[1].As<Napi::String>();
  auto attached = std::make_shared<Attached>();
  return Job::run(
      info.Env(), info.Env().Undefined(), {},
      [file, name, attached](const Control &) { *attached = attachFile(file, name); },
      [attached](Napi::Env env) {
        auto result = Napi::Object::New(env);
        result.Set("fd", attached->fd);
        result.Set("path", attached->path);
        return result;
      });
}

}  // namespace

void initLoop(Napi::Env env, Napi::Object exports) { exports.Set("attachLoop", Napi::Function::New(env, attachLoop)); }

}  // namespace native

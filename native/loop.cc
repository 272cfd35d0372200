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
// With PARTSCAN partitions go with the device; without, those that were added would be those of the next file.
constexpr uint32_t kFlags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO | LO_FLAGS_PARTSCAN;

struct Attached {
  int fd = -1;
  std::string path;
};

// The part of a file that the device is to be: all of it when the length is 0.
struct Part {
  uint64_t offset, length;
};

// Returns false when somebody else was quicker.
bool configure(int device, int file, const std::string &name, Part part, uint32_t flags) {
  loop_config config{};
  config.fd = static_cast<uint32_t>(file);
  config.info.lo_flags = flags;
  config.info.lo_offset = part.offset;
  config.info.lo_sizelimit = part.length;
  // What `losetup` shows; the kernel makes no use of it.
  std::strncpy(reinterpret_cast<char *>(config.info.lo_file_name), name.c_str(), LO_NAME_SIZE - 1);
  if (ioctl(device, LOOP_CONFIGURE, &config) == 0) return true;
  if (errno == EBUSY) return false;
  // Not every file system can do direct I/O.
  if (errno == EINVAL && (flags & LO_FLAGS_DIRECT_IO)) return configure(device, file, name, part, flags & ~LO_FLAGS_DIRECT_IO);
  fail("ioctl LOOP_CONFIGURE", name);
}

Attached attachFile(int file, const std::string &name, Part part, uint32_t flags) {
  Descriptor control(check(open("/dev/loop-control", O_RDWR | O_CLOEXEC), "open", "/dev/loop-control"));
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    int number = check(ioctl(control, LOOP_CTL_GET_FREE), "ioctl LOOP_CTL_GET_FREE");
    std::string path = "/dev/loop" + std::to_string(number);
    Descriptor device(check(open(path.c_str(), O_RDWR | O_CLOEXEC), "open", path));
    if (configure(device, file, name, part, flags)) return {device.release(), path};
  }
  fail("ioctl LOOP_CONFIGURE", name, EBUSY);
}

// attachLoop(file, name, offset, length, readOnly): resolves to {fd, path}.
Napi::Value attachLoop(const Napi::CallbackInfo &info) {
  int file = info[0].As<Napi::Number>().Int32Value();
  std::string name = info[1].As<Napi::String>();
  bool exact = true;
  Part part{info[2].As<Napi::BigInt>().Uint64Value(&exact), info[3].As<Napi::BigInt>().Uint64Value(&exact)};
  uint32_t flags = kFlags | (info[4].As<Napi::Boolean>() ? static_cast<uint32_t>(LO_FLAGS_READ_ONLY) : 0);
  auto attached = std::make_shared<Attached>();
  return Job::run(
      info.Env(), info.Env().Undefined(), {},
      [file, name, part, flags, attached](const Control &) { *attached = attachFile(file, name, part, flags); },
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

// Tells where on the device files and directories lie (FS_IOC_FIEMAP, Documentation/filesystems/fiemap.rst).
//
//   paths   = path:bytes*
//   places  = (count:u32 (physical:u64 length:u64)*)*     one for each path, in bytes of the device
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "native.h"

namespace native {
namespace {

// What is in more pieces than these is told of by the first ones.
constexpr uint32_t kMaxExtents = 64;

void locate(int root, std::string_view path, Writer &writer) {
  Descriptor file(openBeneath(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  check(file.operator int(), "openat2", path);
  alignas(fiemap) char memory[sizeof(fiemap) + kMaxExtents * sizeof(fiemap_extent)] = {};
  auto *map = reinterpret_cast<fiemap *>(memory);
  map->fm_length = FIEMAP_MAX_OFFSET;
  map->fm_extent_count = kMaxExtents;
  check(ioctl(file, FS_IOC_FIEMAP, map), "ioctl FS_IOC_FIEMAP", path);
  writer.number<uint32_t>(map->fm_mapped_extents);
  for (uint32_t at = 0; at < map->fm_mapped_extents; at++) {
    writer.number<uint64_t>(map->fm_extents[at].fe_physical);
    writer.number<uint64_t>(map->fm_extents[at].fe_length);
  }
}

// locatePaths(root, paths, control): resolves to the packed places.
Napi::Value locatePaths(const Napi::CallbackInfo &info) {
  int root = info[0].As<Napi::Number>().Int32Value();
  std::string_view paths = bytesOf(info[1]);
  auto places = std::make_shared<Writer>();
  return Job::run(
      info.Env(), info[2], {info[1]},
      [root, paths, places](const Control &control) {
        for (Reader reader(paths); !reader.done();) {
          control.checkCancelled();
          locate(root, reader.bytes(), *places);
        }
      },
      [places](Napi::Env env) { return toBuffer(env, std::move(places->bytes_)); });
}

}  // namespace

void initLocate(Napi::Env env, Napi::Object exports) { exports.Set("locatePaths", Napi::Function::New(env, locatePaths)); }

}  // namespace native

// Mounts without a mount point: nothing else on the machine sees them, and they go when their
// descriptors are closed, kill -9 included (fsopen(2), fsconfig(2), fsmount(2)).
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native.h"

namespace native {
namespace {

// What the file system had to say, one message a line (the kernel's "e ", "w " and "i " prefixes kept).
std::string messages(int context) {
  std::string all;
  char line[1024];
  for (;;) {
    ssize_t length = read(context, line, sizeof(line));
    if (length <= 0) return all;
    if (!all.empty()) all += '\n';
    all.append(line, static_cast<size_t>(length));
    if (all.back() == '\n') all.pop_back();
  }
}

void configure(int context, unsigned command, const char *key, const char *value) {
  if (syscall(SYS_fsconfig, context, command, key, value, 0) < 0) {
    int error = errno;
    fail("fsconfig", key ? key : "", error, messages(context));
  }
}

struct Request {
  std::string type;
  std::string source;
  bool readOnly;
  std::vector<std::string> options;
};

std::pair<int, int> mountDetached(const Request &request) {
  Descriptor context(static_cast<int>(check(syscall(SYS_fsopen, request.type.c_str(), FSOPEN_CLOEXEC), "fsopen")));
  if (!request.source.empty()) configure(context, FSCONFIG_SET_STRING, "source", request.source.c_str());
  if (request.readOnly) configure(context, FSCONFIG_SET_FLAG, "ro", nullptr);
  for (const auto &option : request.options) {
    auto equals = option.find('=');
    if (equals == std::string::npos) {
      configure(context, FSCONFIG_SET_FLAG, option.c_str(), nullptr);
    } else {
      configure(context, FSCONFIG_SET_STRING, option.substr(0, equals).c_str(), option.c_str() + equals + 1);
    }
  }
  configure(context, FSCONFIG_CMD_CREATE, nullptr, nullptr);
  unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME;
  if (request.readOnly) attributes |= MOUNT_ATTR_RDONLY;
  Descriptor mount(static_cast<int>(check(syscall(SYS_fsmount, context.operator int(), FSMOUNT_CLOEXEC, attributes), "fsmount")));
  // The mount's own descriptor names a path only; syncfs and the like need one that is open.
  Descriptor root(check(openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open"));
  return {mount.release(), root.release()};
}

Napi::Value mount(const Napi::CallbackInfo &info) {
  Request request{info[0].As<Napi::String>(), info[1].As<Napi::String>(), info[2].As<Napi::Boolean>(), {}};
  auto options = info[3].As<Napi::Array>();
  for (uint32_t i = 0; i < options.Length(); i++) request.options.push_back(options.Get(i).As<Napi::String>());
  auto made = std::make_shared<std::pair<int, int>>();
  return Job::run(
      info.Env(), info.Env().Undefined(), {},
      [request, made](const Control &) { *made = mountDetached(request); },
      [made](Napi::Env env) {
        auto result = Napi::Object::New(env);
        result.Set("mount", made->first);
        result.Set("root", made->second);
        return result;
      });
}

// Closes the descriptors of a mount, off the main thread: the last one to go writes the file system out.
Napi::Value unmount(const Napi::CallbackInfo &info) {
  int mount = info[0].As<Napi::Number>().Int32Value();
  int root = info[1].As<Napi::Number>().Int32Value();
  return Job::run(
      info.Env(), info.Env().Undefined(), {},
      [mount, root](const Control &) {
        int first = close(root);
        int error = errno;
        check(close(mount), "close");
        if (first < 0) fail("close", {}, error);
      },
      [](Napi::Env env) { return env.Undefined(); });
}

}  // namespace

void initMount(Napi::Env env, Napi::Object exports) {
  exports.Set("mount", Napi::Function::New(env, mount));
  exports.Set("unmount", Napi::Function::New(env, unmount));
}

}  // namespace native

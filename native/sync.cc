// Making a file system durable.
#include <unistd.h>

#include "native.h"

namespace native {
namespace {

// Writes all of the file system of a descriptor to its device, and reports any write that failed since
// the descriptor was opened (syncfs(2)).
Napi::Value syncFileSystem(const Napi::CallbackInfo &info) {
  int fd = info[0].As<Napi::Number>().Int32Value();
  return Job::run(
      info.Env(), info.Env().Undefined(), {}, [fd](const Control &) { check(syncfs(fd), "syncfs"); },
      [](Napi::Env env) { return env.Undefined(); });
}

}  // namespace

void initSync(Napi::Env env, Napi::Object exports) {
  exports.Set("syncFileSystem", Napi::Function::New(env, syncFileSystem));
}

}  // namespace native

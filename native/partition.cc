// What the kernel knows of the partitions of a disk. Each is told singly (BLKPG), whatever else is in use:
// rereading the table (BLKRRPART) takes a kernel that can parse it, and a disk of which nothing is in use.
#include <linux/blkpg.h>
#include <sys/ioctl.h>

#include "native.h"

namespace native {
namespace {

struct Operation {
  int code;
  const char *name;
};

Operation operationOf(const std::string &name) {
  if (name == "add") return {BLKPG_ADD_PARTITION, "ioctl BLKPG_ADD_PARTITION"};
  if (name == "resize") return {BLKPG_RESIZE_PARTITION, "ioctl BLKPG_RESIZE_PARTITION"};
  return {BLKPG_DEL_PARTITION, "ioctl BLKPG_DEL_PARTITION"};
}

// changePartition(disk, "add" | "resize" | "delete", number, start, length): in bytes.
Napi::Value changePartition(const Napi::CallbackInfo &info) {
  bool exact = true;
  blkpg_partition partition{};
  partition.pno = info[2].As<Napi::Number>().Int32Value();
  partition.start = info[3].As<Napi::BigInt>().Int64Value(&exact);
  partition.length = info[4].As<Napi::BigInt>().Int64Value(&exact);
  auto operation = operationOf(info[1].As<Napi::String>());
  blkpg_ioctl_arg argument{operation.code, 0, sizeof(partition), &partition};
  if (ioctl(info[0].As<Napi::Number>().Int32Value(), BLKPG, &argument) < 0)
    throw toError(info.Env(), Failure{errno, operation.name, {}, {}});
  return info.Env().Undefined();
}

}  // namespace

void initPartition(Napi::Env env, Napi::Object exports) {
  exports.Set("changePartition", Napi::Function::New(env, changePartition));
}

}  // namespace native

#include <malloc.h>

#include "native.h"

// Threads come and go, and each has a part of the heap to itself, of which little is given back: a client that uploads held 50 MiB
// that it did not need.
constexpr int kHeaps = 2;

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  mallopt(M_ARENA_MAX, kHeaps);
  native::initBlock(env, exports);
  native::initMkfs(env, exports);
  native::initMount(env, exports);
  native::initSync(env, exports);
  native::initScan(env, exports);
  native::initIngest(env, exports);
  native::initCheck(env, exports);
  native::initStore(env, exports);
  native::initRead(env, exports);
  native::initDiff(env, exports);
  native::initNewData(env, exports);
  native::initMatchScan(env, exports);
  native::initScanDevice(env, exports);
  native::initCompare(env, exports);
  native::initLocate(env, exports);
  native::initPatch(env, exports);
  native::initLoop(env, exports);
  native::initPartition(env, exports);
  native::initSocket(env, exports);
  return exports;
}

NODE_API_MODULE(image_unpacker, init)

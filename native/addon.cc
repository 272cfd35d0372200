#include "native.h"

static Napi::Object init(Napi::Env env, Napi::Object exports) {
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

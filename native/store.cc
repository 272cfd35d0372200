// Keeps objects whose bytes are in memory, and hashes what comes bit by bit; both off the main thread.
//
//   outcomes = outcome:u8*                    one for each object; 0 it was there, 1 added, 2 it has another digest
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "native.h"
#include "object-directory.h"
#include "sha512.h"

namespace native {
namespace {

enum Outcome : uint8_t { kThere = 0, kAdded = 1, kOther = 2 };

std::vector<std::string_view> viewsOf(const Napi::Array &buffers, std::vector<Napi::Value> &keep) {
  std::vector<std::string_view> views;
  for (uint32_t at = 0; at < buffers.Length(); at++) {
    Napi::Value buffer = buffers.Get(at);
    views.push_back(bytesOf(buffer));
    keep.push_back(buffer);
  }
  return views;
}

// storeObjects(objects, temporary, digests, bytes, control): resolves to the outcomes. What is there is compared.
Napi::Value storeObjects(const Napi::CallbackInfo &info) {
  ObjectDirectory objects(info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::Number>().Int32Value());
  std::string_view digests = bytesOf(info[2]);
  std::vector<Napi::Value> keep{info[2]};
  auto bytes = viewsOf(info[3].As<Napi::Array>(), keep);
  auto outcomes = std::make_shared<std::vector<uint8_t>>(bytes.size());
  return Job::run(
      info.Env(), info[4], keep,
      [objects, digests, bytes, outcomes](const Control &control) {
        if (digests.size() != bytes.size() * kDigestBytes) fail("decode", {}, EINVAL);
        forEachParallel(bytes.size(), [&](size_t index) {
          control.checkCancelled();
          auto wanted = digests.substr(index * kDigestBytes, kDigestBytes);
          auto &outcome = (*outcomes)[index];
          Digest digest;
          std::memcpy(digest.data(), wanted.data(), kDigestBytes);
          if (!hasDigest(bytes[index], wanted)) outcome = kOther;
          else if (objects.reads(digest, bytes[index])) outcome = kThere;
          else {
            TemporaryObject object(objects);
            object.write(bytes[index].data(), bytes[index].size());
            object.publish(digest);
            outcome = kAdded;
          }
        });
      },
      [outcomes](Napi::Env env) { return toBuffer(env, std::move(*outcomes)); });
}

// createHash(): a hash of nothing yet.
Napi::Value createHash(const Napi::CallbackInfo &info) {
  return Napi::External<Sha512>::New(info.Env(), new Sha512(), [](Napi::Env, Sha512 *hash) { delete hash; });
}

// updateHash(hash, bytes): hashes more; not while the last call is under way.
Napi::Value updateHash(const Napi::CallbackInfo &info) {
  auto *hash = info[0].As<Napi::External<Sha512>>().Data();
  std::string_view bytes = bytesOf(info[1]);
  return Job::run(
      info.Env(), info.Env().Undefined(), {info[0], info[1]},
      [hash, bytes](const Control &) { hash->update(bytes.data(), bytes.size()); },
      [](Napi::Env env) { return env.Undefined(); });
}

// finishHash(hash): the digest of all of it, after which there is no more.
Napi::Value finishHash(const Napi::CallbackInfo &info) {
  auto digest = info[0].As<Napi::External<Sha512>>().Data()->finish();
  return toBuffer(info.Env(), {digest.begin(), digest.end()});
}

}  // namespace

void initStore(Napi::Env env, Napi::Object exports) {
  exports.Set("storeObjects", Napi::Function::New(env, storeObjects));
  exports.Set("createHash", Napi::Function::New(env, createHash));
  exports.Set("updateHash", Napi::Function::New(env, updateHash));
  exports.Set("finishHash", Napi::Function::New(env, finishHash));
}

}  // namespace native

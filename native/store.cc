// Looks for objects, keeps those whose bytes are in memory, and hashes what comes bit by bit or from a file; all off the main thread.
//
//   sizes    = size:u64*                      one for each object; 2^64 - 1 it is not there
//   outcomes = outcome:u8*                    one for each object; 0 it was there, 1 added, 2 it has another digest
//   ranges   = (offset:u64 length:u64)*       of the bytes of a file; at 2^64 - 1 there are zeros
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

constexpr uint64_t kNone = UINT64_MAX;
constexpr size_t kPieceBytes = 512 << 10;

uint64_t sizeOf(int objects, std::string_view digest) {
  struct stat stat {};
  auto path = objectPath(digest);
  if (fstatat(objects, path.c_str(), &stat, AT_SYMLINK_NOFOLLOW) == 0)
    return S_ISREG(stat.st_mode) ? static_cast<uint64_t>(stat.st_size) : kNone;
  if (errno != ENOENT) fail("fstatat", path);
  return kNone;
}

// objectSizes(objects, digests, control): resolves to the sizes.
Napi::Value objectSizes(const Napi::CallbackInfo &info) {
  int objects = info[0].As<Napi::Number>().Int32Value();
  std::string_view digests = bytesOf(info[1]);
  auto writer = std::make_shared<Writer>();
  return Job::run(
      info.Env(), info[2], {info[1]},
      [objects, digests, writer](const Control &control) {
        for (size_t at = 0; at + kDigestBytes <= digests.size(); at += kDigestBytes) {
          control.checkCancelled();
          writer->number(sizeOf(objects, digests.substr(at, kDigestBytes)));
        }
      },
      [writer](Napi::Env env) { return toBuffer(env, std::move(writer->bytes_)); });
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

// Reads a piece of a file that has it.
void readWhole(int file, char *to, size_t length, uint64_t offset) {
  while (length > 0) {
    ssize_t got = check(pread(file, to, length, static_cast<off_t>(offset)), "read", {});
    if (got == 0) fail("read", {}, EBADMSG);
    to += got;
    length -= static_cast<size_t>(got);
    offset += static_cast<uint64_t>(got);
  }
}

// appendRanges(hash, from, to, ranges, control): appends ranges of one open file to another one, and hashes them; not while the last
// call is under way. Fails with EBADMSG where there is less.
Napi::Value appendRanges(const Napi::CallbackInfo &info) {
  auto *hash = info[0].As<Napi::External<Sha512>>().Data();
  int from = info[1].As<Napi::Number>().Int32Value();
  int to = info[2].As<Napi::Number>().Int32Value();
  std::string_view ranges = bytesOf(info[3]);
  return Job::run(
      info.Env(), info[4], {info[0], info[3]},
      [hash, from, to, ranges](const Control &control) {
        std::vector<char> piece(kPieceBytes);
        for (Reader reader(ranges); !reader.done();) {
          uint64_t offset = reader.u64(), length = reader.u64();
          for (uint64_t done = 0; done < length;) {
            control.checkCancelled();
            size_t count = std::min<uint64_t>(kPieceBytes, length - done);
            if (offset == kNone) std::memset(piece.data(), 0, count);
            else readWhole(from, piece.data(), count, offset + done);
            hash->update(piece.data(), count);
            writeAll(to, piece.data(), count, {});
            done += count;
          }
        }
      },
      [](Napi::Env env) { return env.Undefined(); });
}

// finishHash(hash): the digest of all of it, after which there is no more.
Napi::Value finishHash(const Napi::CallbackInfo &info) {
  auto digest = info[0].As<Napi::External<Sha512>>().Data()->finish();
  return toBuffer(info.Env(), {digest.begin(), digest.end()});
}

}  // namespace

void initStore(Napi::Env env, Napi::Object exports) {
  exports.Set("objectSizes", Napi::Function::New(env, objectSizes));
  exports.Set("storeObjects", Napi::Function::New(env, storeObjects));
  exports.Set("createHash", Napi::Function::New(env, createHash));
  exports.Set("updateHash", Napi::Function::New(env, updateHash));
  exports.Set("appendRanges", Napi::Function::New(env, appendRanges));
  exports.Set("finishHash", Napi::Function::New(env, finishHash));
}

}  // namespace native

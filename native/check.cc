// Hashing objects that are there, to tell whether they are good.
//
//   checks   = (state:u8 size:u64 sparse)*                  one for each digest asked for: 0 good, 1 missing, 2 damaged
//   sparse   = count:u32 (start:u64 count:u64)* [has:u8 (digest if has)]
//              runs of blocks of zeros, and, if there are any, the digest of all else, if there is any
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "native.h"
#include "object-hash.h"
#include "sha512-lanes.h"

namespace native {
namespace {

constexpr size_t kBufferBytes = 1 << 20;
// While some threads wait for the device, others hash.
constexpr size_t kThreads = 8;

enum State : uint8_t { kGood = 0, kMissing = 1, kDamaged = 2 };

// An object that is read from its beginning to its end.
class ObjectReader {
 public:
  // One that is no good is not read: `state` tells.
  ObjectReader(int objects, std::string_view digest) : path_(objectPath(digest)) {
    file_ = Descriptor(openat(objects, path_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file_ >= 0) return;
    if (errno == ENOENT) {
      state = kMissing;
    } else if (errno == ELOOP || errno == ENXIO) {
      // A symbolic link is none, wherever it leads; nor is a socket.
      state = kDamaged;
    } else {
      fail("openat", path_);
    }
  }

  // Reads as much as there is room for, less only where the object ends.
  size_t read(char *data, size_t room) {
    size_t length = 0;
    while (length < room) {
      ssize_t got = ::read(file_, data + length, room - length);
      if (got < 0 && (errno == EIO || errno == EISDIR)) {
        // What cannot be read is as good as lost; the caller names the object.
        state = kDamaged;
        return 0;
      }
      if (check(got, "read", path_) == 0) break;
      length += static_cast<size_t>(got);
    }
    size += length;
    return length;
  }

  State state = kGood;
  uint64_t size = 0;

 private:
  std::string path_;
  Descriptor file_;
};

struct Request {
  int objects;
  std::string_view digests;
  bool sparse;
  const Control &control;
  std::vector<Writer> &checks;

  std::string_view digestOf(size_t index) const { return digests.substr(index * kDigestBytes, kDigestBytes); }

  // Without `hash` there are no zeros to tell of.
  void answer(size_t index, const ObjectReader &object, const void *digest, ObjectHash *hash) const {
    bool isGood = object.state == kGood && std::memcmp(digest, digestOf(index).data(), kDigestBytes) == 0;
    State state = object.state == kGood && !isGood ? kDamaged : object.state;
    checks[index].number<uint8_t>(state);
    checks[index].number<uint64_t>(object.size);
    if (hash) hash->write(checks[index]);
    else checks[index].number<uint32_t>(0);
    if (object.state != kGood) return;
    control.addBytes(object.size);
    control.addItems(1);
  }
};

// Checks one object by itself.
void checkObject(const Request &request, size_t index) {
  thread_local std::vector<char> buffer(kBufferBytes);
  ObjectReader object(request.objects, request.digestOf(index));
  ObjectHash hash(request.sparse);
  for (size_t length = buffer.size(); object.state == kGood && length == buffer.size();) {
    request.control.checkCancelled();
    length = object.read(buffer.data(), buffer.size());
    hash.update(buffer.data(), length);
  }
  auto digest = hash.finish();
  request.answer(index, object, digest.data(), &hash);
}

bool hasZeroBlock(const char *data, size_t length) {
  for (size_t at = 0; at < length; at += kBlockBytes) {
    if (isZero(data + at, std::min(kBlockBytes, length - at))) return true;
  }
  return false;
}

// Checks as many objects at once as there are lanes, until there are no more.
class LaneChecker {
 public:
  LaneChecker(const Request &request, std::atomic<size_t> &next) : request_(request), next_(next) {
    for (auto &lane : lanes_) lane.buffer.resize(kLaneBytes + 2 * kShaBlock);
  }

  void run() {
    for (;;) {
      request_.control.checkCancelled();
      const uint8_t *data[kLanes];
      const uint8_t *any = nullptr;
      size_t used = 0, blocks = SIZE_MAX;
      for (size_t number = 0; number < kLanes; number++) {
        prepare(number);
        Lane &lane = lanes_[number];
        data[number] = reinterpret_cast<const uint8_t *>(lane.buffer.data() + lane.at);
        if (!lane.object) continue;
        any = data[number];
        used++;
        blocks = std::min(blocks, (lane.end - lane.at) / kShaBlock);
      }
      if (used == 0) return;
      take(data, any, used, blocks);
    }
  }

 private:
  static constexpr size_t kLaneBytes = 128 << 10;
  // With fewer streams than these one after the other is faster.
  static constexpr size_t kFew = 3;

  struct Lane {
    std::optional<ObjectReader> object;
    size_t index = 0;
    std::vector<char> buffer;
    // What of the buffer is not yet taken in: whole blocks.
    size_t at = 0, end = 0;
    bool isLast = false;
  };

  // Sees to it that a lane has blocks to take in, if there is anything left to do.
  void prepare(size_t number) {
    Lane &lane = lanes_[number];
    while (lane.at == lane.end) {
      if (lane.object && lane.isLast) finish(number);
      if (!lane.object && !begin(number)) return;
      fill(number);
    }
  }

  bool begin(size_t number) {
    Lane &lane = lanes_[number];
    lane.index = next_++;
    if (lane.index >= request_.checks.size()) return false;
    lane.object.emplace(request_.objects, request_.digestOf(lane.index));
    lane.isLast = false;
    beginLane(states_, number);
    return true;
  }

  void fill(size_t number) {
    Lane &lane = lanes_[number];
    if (lane.object->state != kGood) return giveUp(lane);
    size_t length = lane.object->read(lane.buffer.data(), kLaneBytes);
    if (lane.object->state != kGood) return giveUp(lane);
    if (request_.sparse && hasZeroBlock(lane.buffer.data(), length)) {
      // What an object is without its zeros takes a second hash; those that have some are few.
      checkObject(request_, lane.index);
      return leave(lane);
    }
    lane.isLast = length < kLaneBytes;
    if (lane.isLast) length = pad(lane, length);
    lane.at = 0;
    lane.end = length;
  }

  // What comes behind the data (FIPS 180-4, 5.1.2). Returns how much there is with it.
  static size_t pad(Lane &lane, size_t length) {
    size_t end = (length + 17 + kShaBlock - 1) / kShaBlock * kShaBlock;
    char *data = lane.buffer.data();
    std::memset(data + length, 0, end - length);
    data[length] = static_cast<char>(0x80);
    uint64_t bits = __builtin_bswap64(lane.object->size * 8);
    std::memcpy(data + end - sizeof(bits), &bits, sizeof(bits));
    return end;
  }

  void take(const uint8_t *data[kLanes], const uint8_t *any, size_t used, size_t blocks) {
    for (size_t number = 0; number < kLanes; number++) {
      Lane &lane = lanes_[number];
      if (!lane.object) {
        data[number] = any;
      } else if (used < kFew) {
        compressLane(states_, number, data[number], blocks);
      }
      if (lane.object) lane.at += blocks * kShaBlock;
    }
    if (used >= kFew) compressLanes(states_, data, blocks);
  }

  void finish(size_t number) {
    Lane &lane = lanes_[number];
    uint64_t digest[8];
    for (size_t word = 0; word < 8; word++) digest[word] = __builtin_bswap64(states_.words[word][number]);
    request_.answer(lane.index, *lane.object, digest, nullptr);
    leave(lane);
  }

  void giveUp(Lane &lane) {
    request_.answer(lane.index, *lane.object, nullptr, nullptr);
    leave(lane);
  }

  static void leave(Lane &lane) {
    lane.object.reset();
    lane.at = lane.end = 0;
  }

  const Request &request_;
  std::atomic<size_t> &next_;
  LaneStates states_;
  Lane lanes_[kLanes];
};

std::vector<uint8_t> checkAll(int objects, std::string_view digests, bool sparse, const Control &control) {
  std::vector<Writer> checks(digests.size() / kDigestBytes);
  Request request{objects, digests, sparse, control, checks};
  if (hasLanes()) {
    std::atomic<size_t> next{0};
    forEachParallel(std::min(checks.size(), kThreads), [&](size_t) { LaneChecker(request, next).run(); });
  } else {
    forEachParallel(checks.size(), [&](size_t index) { checkObject(request, index); });
  }
  Writer all;
  for (const auto &check : checks) all.bytes_.insert(all.bytes_.end(), check.bytes_.begin(), check.bytes_.end());
  return std::move(all.bytes_);
}

// checkObjects(objects, digests, sparse, control): reads and hashes objects; resolves to the packed checks, with
// nothing about zeros unless `sparse`.
Napi::Value checkObjects(const Napi::CallbackInfo &info) {
  int objects = info[0].As<Napi::Number>().Int32Value();
  std::string_view digests = bytesOf(info[1]);
  bool sparse = info[2].As<Napi::Boolean>();
  auto checks = std::make_shared<std::vector<uint8_t>>();
  return Job::run(
      info.Env(), info[3], {info[1]},
      [objects, digests, sparse, checks](const Control &control) {
        *checks = checkAll(objects, digests, sparse, control);
      },
      [checks](Napi::Env env) { return toBuffer(env, std::move(*checks)); });
}

}  // namespace

void initCheck(Napi::Env env, Napi::Object exports) {
  exports.Set("checkObjects", Napi::Function::New(env, checkObjects));
}

}  // namespace native

#include "sha512-many.h"

#include <algorithm>
#include <numeric>

#include "sha512-lanes.h"

namespace native {
namespace {

// With fewer pieces than these one after the other is faster.
constexpr size_t kFew = 3;

// A piece in a lane: its whole blocks, then what is left with what comes behind it (FIPS 180-4, 5.1.2).
class Stream {
 public:
  void begin(std::string_view piece) {
    data_ = reinterpret_cast<const uint8_t *>(piece.data());
    blocks_ = piece.size() / kShaBlock;
    size_t rest = piece.size() % kShaBlock;
    tailBlocks_ = rest + 17 > kShaBlock ? 2 : 1;
    std::memset(tail_, 0, sizeof(tail_));
    if (rest > 0) std::memcpy(tail_, data_ + blocks_ * kShaBlock, rest);
    tail_[rest] = 0x80;
    uint64_t bits = __builtin_bswap64(uint64_t{piece.size()} * 8);
    std::memcpy(tail_ + tailBlocks_ * kShaBlock - sizeof(bits), &bits, sizeof(bits));
    if (blocks_ == 0) beginTail();
  }

  const uint8_t *data() const { return data_; }
  size_t blocks() const { return blocks_; }

  void skip(size_t blocks) {
    data_ += blocks * kShaBlock;
    blocks_ -= blocks;
    if (blocks_ == 0 && tailBlocks_ > 0) beginTail();
  }

 private:
  void beginTail() {
    data_ = tail_;
    blocks_ = std::exchange(tailBlocks_, 0);
  }

  const uint8_t *data_ = nullptr;
  size_t blocks_ = 0, tailBlocks_ = 0;
  uint8_t tail_[2 * kShaBlock];
};

class Lanes {
 public:
  Lanes(const std::vector<std::string_view> &pieces, std::vector<Digest> &digests)
      : pieces_(pieces), digests_(digests), order_(pieces.size()) {
    // The longest first, so that the lanes end together.
    std::iota(order_.begin(), order_.end(), size_t{0});
    auto isLonger = [&](size_t a, size_t b) { return pieces[a].size() > pieces[b].size(); };
    std::sort(order_.begin(), order_.end(), isLonger);
  }

  void run() {
    for (;;) {
      const uint8_t *data[kLanes], *any = nullptr;
      size_t used = 0, blocks = SIZE_MAX;
      for (size_t lane = 0; lane < kLanes; lane++) {
        if (streams_[lane].blocks() == 0 && !begin(lane)) continue;
        any = streams_[lane].data();
        used++;
        blocks = std::min(blocks, streams_[lane].blocks());
      }
      if (used == 0) return;
      for (size_t lane = 0; lane < kLanes; lane++) {
        bool isUsed = streams_[lane].blocks() > 0;
        data[lane] = isUsed ? streams_[lane].data() : any;
        if (isUsed && used < kFew) compressLane(states_, lane, data[lane], blocks);
      }
      if (used >= kFew) compressLanes(states_, data, blocks);
      for (size_t lane = 0; lane < kLanes; lane++) take(lane, blocks);
    }
  }

 private:
  bool begin(size_t lane) {
    if (next_ == pieces_.size()) return false;
    index_[lane] = order_[next_++];
    streams_[lane].begin(pieces_[index_[lane]]);
    beginLane(states_, lane);
    return true;
  }

  void take(size_t lane, size_t blocks) {
    Stream &stream = streams_[lane];
    if (stream.blocks() == 0) return;
    stream.skip(blocks);
    if (stream.blocks() > 0) return;
    auto *digest = digests_[index_[lane]].data();
    for (size_t word = 0; word < 8; word++) {
      uint64_t big = __builtin_bswap64(states_.words[word][lane]);
      std::memcpy(digest + word * sizeof(big), &big, sizeof(big));
    }
  }

  const std::vector<std::string_view> &pieces_;
  std::vector<Digest> &digests_;
  std::vector<size_t> order_;
  size_t next_ = 0;
  LaneStates states_;
  Stream streams_[kLanes];
  size_t index_[kLanes] = {};
};

}  // namespace

std::vector<Digest> hashPieces(const std::vector<std::string_view> &pieces) {
  std::vector<Digest> digests(pieces.size());
  if (pieces.size() >= kFew && hasLanes()) {
    Lanes(pieces, digests).run();
    return digests;
  }
  for (size_t at = 0; at < pieces.size(); at++) {
    Sha512 hash;
    hash.update(pieces[at].data(), pieces[at].size());
    digests[at] = hash.finish();
  }
  return digests;
}

}  // namespace native

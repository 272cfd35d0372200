// Of its low-level functions OpenSSL advises against; no others take in a state that began elsewhere.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sha512-lanes.h"

#include <openssl/sha.h>

#include <cstring>

namespace native {
namespace {

constexpr uint64_t kInitial[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

}  // namespace

void beginLane(LaneStates &states, size_t lane) {
  for (size_t word = 0; word < 8; word++) states.words[word][lane] = kInitial[word];
}

void compressLane(LaneStates &states, size_t lane, const uint8_t *data, size_t blocks) {
  SHA512_CTX context{};
  for (size_t word = 0; word < 8; word++) context.h[word] = states.words[word][lane];
  // Whole blocks are taken in as they are.
  SHA512_Update(&context, data, blocks * kShaBlock);
  for (size_t word = 0; word < 8; word++) states.words[word][lane] = context.h[word];
}

}  // namespace native

#if defined(__x86_64__)
#include <immintrin.h>

// What follows is compiled for processors that have AVX-512; so no template of others may be used in it.
#pragma GCC target("avx512f,avx512bw")
// Vectors are handed about within this file only; the compiler's own header has something that it warns of.
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace native {
namespace {

using Vector = uint64_t __attribute__((vector_size(64)));

constexpr uint64_t kRounds[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

inline Vector rotate(Vector value, int by) { return (value >> by) | (value << (64 - by)); }

// The t-th word of a block of each stream.
inline Vector wordOf(__m512i streams, int t) {
  const __m512i reversed = _mm512_set4_epi32(0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607);
  __m512i words = _mm512_i64gather_epi64(streams, reinterpret_cast<const char *>(8l * t), 1);
  return reinterpret_cast<Vector>(_mm512_shuffle_epi8(words, reversed));
}

// Takes in one block of each stream (FIPS 180-4, 6.4.2).
inline void compress(Vector state[8], __m512i streams) {
  Vector w[16];
  Vector a = state[0], b = state[1], c = state[2], d = state[3];
  Vector e = state[4], f = state[5], g = state[6], h = state[7];
  for (int t = 0; t < 80; t++) {
    Vector &now = w[t & 15];
    if (t < 16) {
      now = wordOf(streams, t);
    } else {
      Vector early = w[(t + 1) & 15], late = w[(t + 14) & 15];
      now += (rotate(early, 1) ^ rotate(early, 8) ^ (early >> 7)) + w[(t + 9) & 15] +
             (rotate(late, 19) ^ rotate(late, 61) ^ (late >> 6));
    }
    Vector first = h + (rotate(e, 14) ^ rotate(e, 18) ^ rotate(e, 41)) + (g ^ (e & (f ^ g))) + kRounds[t] + now;
    Vector second = (rotate(a, 28) ^ rotate(a, 34) ^ rotate(a, 39)) + ((a & b) | (c & (a | b)));
    h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

}  // namespace

bool hasLanes() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"); }

void compressLanes(LaneStates &states, const uint8_t *const data[kLanes], size_t blocks) {
  Vector state[8];
  std::memcpy(state, states.words, sizeof(state));
  __m512i streams = _mm512_loadu_si512(data);
  for (; blocks > 0; blocks--) {
    compress(state, streams);
    streams = _mm512_add_epi64(streams, _mm512_set1_epi64(kShaBlock));
  }
  std::memcpy(states.words, state, sizeof(state));
}

}  // namespace native

#else

namespace native {

bool hasLanes() { return false; }
void compressLanes(LaneStates &, const uint8_t *const[kLanes], size_t) { __builtin_trap(); }

}  // namespace native

#endif

#include "crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace native {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;
// Eight tables let eight bytes be taken at once.
constexpr size_t kWidth = 8;
using Table = std::array<std::array<uint32_t, 256>, kWidth>;

constexpr Table makeTable() {
  Table table{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ kPolynomial : crc >> 1;
    table[0][byte] = crc;
  }
  for (size_t at = 1; at < kWidth; at++) {
    for (size_t byte = 0; byte < 256; byte++) {
      uint32_t before = table[at - 1][byte];
      table[at][byte] = table[0][before & 0xff] ^ before >> 8;
    }
  }
  return table;
}

constexpr Table kTable = makeTable();

uint32_t byTable(uint32_t crc, const uint8_t *data, size_t length) {
  for (; length >= kWidth; data += kWidth, length -= kWidth) {
    uint64_t word;
    std::memcpy(&word, data, kWidth);
    word ^= crc;
    crc = 0;
    for (size_t at = 0; at < kWidth; at++) crc ^= kTable[kWidth - 1 - at][word >> 8 * at & 0xff];
  }
  for (; length > 0; data++, length--) crc = kTable[0][(crc ^ *data) & 0xff] ^ crc >> 8;
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t byInstruction(uint32_t crc, const uint8_t *data, size_t length) {
  uint64_t wide = crc;
  for (; length >= 8; data += 8, length -= 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<uint32_t>(wide);
  for (; length > 0; data++, length--) crc = _mm_crc32_u8(crc, *data);
  return crc;
}
#endif

}  // namespace

uint32_t crc32c(uint32_t seed, const void *data, size_t length) {
  const auto *bytes = static_cast<const uint8_t *>(data);
#if defined(__x86_64__)
  static const bool hasInstruction = __builtin_cpu_supports("sse4.2") != 0;
  if (hasInstruction) return byInstruction(seed, bytes, length);
#endif
  return byTable(seed, bytes, length);
}

}  // namespace native

// CRC-32C (Castagnoli polynomial, reflected), as ext4 uses it: the register is handed in and out as it is, without the
// inversion at either end, so that checksums can be carried on.
#pragma once

#include <cstddef>
#include <cstdint>

namespace native {

uint32_t crc32c(uint32_t seed, const void *data, size_t length);

}  // namespace native

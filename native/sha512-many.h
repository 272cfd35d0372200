// SHA-512 of pieces of data that are in memory.
#pragma once

#include <string_view>
#include <vector>

#include "sha512.h"

namespace native {

// The digest of each piece; of as many at once as there are lanes, where the processor has them.
std::vector<Digest> hashPieces(const std::vector<std::string_view> &pieces);

}  // namespace native

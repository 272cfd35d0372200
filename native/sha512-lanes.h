// SHA-512 of several streams at once, one in each lane of vector registers (FIPS 180-4): three times as fast as one
// after the other, on processors that have registers for it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace native {

constexpr size_t kLanes = 8;
constexpr size_t kShaBlock = 128;

// The states of as many hashes: word by word, all lanes of each.
struct LaneStates {
  alignas(64) uint64_t words[8][kLanes];
};

// Whether this processor can do it; else none of the functions below may be called.
bool hasLanes();

// Makes the state of a lane that of no data.
void beginLane(LaneStates &states, size_t lane);

// Takes in so many blocks of 128 bytes of each stream. A lane that is not in use may read what another one does.
void compressLanes(LaneStates &states, const uint8_t *const data[kLanes], size_t blocks);

// Takes in so many blocks of one stream: faster where few lanes are in use.
void compressLane(LaneStates &states, size_t lane, const uint8_t *data, size_t blocks);

}  // namespace native

// SPDX-License-Identifier: Apache-2.0
// The counters of a neuron with segments: the spike words that wait to be counted, and how often each bit of them was
// set in each segment so far. count_levels.h fills them, positional_popcount.h explains the bit planes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "neuron/neuron.h"

namespace onnx_snn {

// One byte for each of 64 elements.
struct alignas(64) Row {
  static constexpr std::size_t kBytes = 64;
  std::uint64_t words[kBytes / sizeof(std::uint64_t)];
};

// How often each bit of each byte of a row was set in groups of sixteen rows, as binary numbers: bit p of every number
// is in plane p. A carry into plane 4 + k waits until there is a second one, so that one addition takes both.
struct BitCounts {
  static constexpr std::size_t kLowPlanes = 4;
  static constexpr std::size_t kLevels = 8;
  static constexpr std::size_t kPlanes = kLowPlanes + kLevels + 1;
  Row plane[kPlanes];
  Row waiting[kLevels];
};

// All zero where nothing is counted.
struct LevelCounts {
  // Elements that wait for a full group of rows.
  static constexpr std::size_t kRows = 16;
  static constexpr std::size_t kElements = kRows * Row::kBytes;
  Row owner[kRows];  // identifies the segment of an element; 0: none. Not written if there is one segment
  Row low[kRows];    // the lower eight bits of its spike word
  Row high[kRows];   // the upper eight bits, written only for words of more than eight bits
  std::size_t rows;

  // Whether the first segment counts the elements of all, because nothing depends on its own: a basis that rises fires
  // at all elements of later segments. NaN, which fires nothing, then may be in the first segment.
  static bool first_holds_all(const Neuron& neuron) { return !neuron.falling; }

  // What was counted in each segment, lane by lane.
  static constexpr std::size_t kMostGroups = (std::size_t{1} << BitCounts::kLevels) - 1;
  static constexpr std::size_t kMostGroupsOfBytes = UINT8_MAX / kRows;
  BitCounts low_bits[kMaxSegments], high_bits[kMaxSegments];
  Row elements[kMaxSegments], saturated[kMaxSegments];
  std::array<std::size_t, kMaxSegments> groups;  // counted in the planes of each segment
  std::size_t groups_of_bytes;                   // counted in `elements` and `saturated`

  // Sums over all lanes.
  struct Total {
    std::int64_t elements;
    std::int64_t saturated;
    std::array<std::int64_t, kMaxSteps> bits;  // how many spike words have bit b set
  };
  std::array<Total, kMaxSegments> totals;

  // Takes from the totals of the first segment, which holds all, those of the others. Its number of elements is not
  // known then, and counts as 0.
  void keep_own_of_first(std::size_t segments) {
    totals[0].elements = 0;
    for (std::size_t segment = 1; segment < segments; ++segment) {
      totals[0].saturated -= totals[segment].saturated;
      for (std::size_t bit = 0; bit < kMaxSteps; ++bit) totals[0].bits[bit] -= totals[segment].bits[bit];
    }
  }
};

// Moves everything that was counted of a segmented neuron into the totals; the kernel of one instruction set.
using UnpackLevels = void (*)(LevelCounts& counts, const Neuron& neuron);

}  // namespace onnx_snn

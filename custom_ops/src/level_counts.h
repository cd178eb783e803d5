// SPDX-License-Identifier: Apache-2.0
// The levels of a segmented neuron's elements, and how often each bit of them was set in each segment.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "neuron.h"

namespace onnx_snn {

// One byte for each of 64 elements.
struct alignas(64) Row {
  static constexpr std::size_t kBytes = 64;
  std::uint64_t words[kBytes / sizeof(std::uint64_t)];
};

// How often each bit of each byte of a row was set in groups of eight rows: numbers in binary, whose bit p is in plane
// p. A carry into plane 3 + k waits until there is another one, so that one addition takes both.
struct BitCounts {
  static constexpr std::size_t kLevels = 8;
  static constexpr std::size_t kPlanes = 3 + kLevels + 1;
  Row plane[kPlanes];
  Row waiting[kLevels];
};

// All zero where nothing is counted.
struct LevelCounts {
  // Elements that are not counted yet.
  static constexpr std::size_t kRows = 8;
  Row owner[kRows];  // the leaf of an element's segment; 0: the element counts for none
  Row low[kRows];    // the lower eight bits of its level
  Row high[kRows];   // the others, of levels that have any
  std::size_t rows;

  // What was counted of each segment, lane by lane.
  static constexpr std::size_t kMostGroups = (std::size_t{1} << BitCounts::kLevels) - 1;
  static constexpr std::size_t kMostGroupsOfBytes = UINT8_MAX / kRows;
  BitCounts low_bits[kMaxSegments], high_bits[kMaxSegments];
  Row elements[kMaxSegments], saturated[kMaxSegments];
  std::size_t groups;           // in the planes
  std::size_t groups_of_bytes;  // in `elements` and `saturated`

  struct Total {
    std::int64_t elements;
    std::int64_t saturated;
    std::array<std::int64_t, kMaxHalvingTimesteps> bits;  // levels with bit b set
  };
  std::array<Total, kMaxSegments> totals;
};

}  // namespace onnx_snn

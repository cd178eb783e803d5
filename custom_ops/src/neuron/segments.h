// SPDX-License-Identifier: Apache-2.0
// Step neurons whose ramps are disjoint, as segments: at any x all bases but one are silent or saturated.
//
// The ramp of a basis is the range of inputs over which its level changes: on one side of it the basis is silent (level
// 0), on the other it is saturated (the highest level). So the sum of all other bases is a constant of the segment.
#pragma once

#include <cstddef>
#include <optional>

namespace onnx_snn {

class Neuron;

// Segments that the search tree and the tables in registers can hold.
inline constexpr std::size_t kMaxSegments = 32;

// Segments of a neuron that are looked up within one register.
inline constexpr std::size_t kFewSegments = 8;

// One segment: y = base + weight * clip(floor((x - u_rest) * gain), 0, top).
struct alignas(16) Segment {
  float u_rest;
  float gain;    // levels, not intensities
  float weight;  // of a level
  float base;    // bias and the sum of the saturated bases, rounded to float32
};

// All segments in ascending order of x, padded to 2**depth.
struct Segments {
  std::size_t depth;  // of the search tree: 3, 4 or 5
  // A binary search tree in heap order: from node i, x >= split[i] goes to node 2i + 1, else to 2i. The root is 1, the
  // leaves are 2**depth + segment. Padding is NaN, so that no x goes beyond the last segment.
  alignas(64) float split[kMaxSegments];
  alignas(64) Segment segment[kMaxSegments];
  alignas(64) float base_rest[kMaxSegments];  // exact base - float32 base
  bool narrow;                                // every base_rest is 0: one fused multiply-add gives y
  std::size_t basis[kMaxSegments];            // the basis n whose ramp the segment holds

  std::size_t first_leaf() const { return std::size_t{1} << depth; }
};

// Up to kFewSegments segments, in ascending order of x, padded with the last:
//
//     y = base + weight * (k + offset)            k: the level of (x - u_rest) * gain
//
// A whole number of levels is moved from the base into the offset where float32 does not hold the base otherwise, so
// that one fused multiply-add rounds the exact sum.
struct FewSegments {
  alignas(32) float split[kFewSegments];  // x >= split[i] is beyond segment i; NaN from the last segment on
  alignas(32) float u_rest[kFewSegments];
  alignas(32) float gain[kFewSegments];
  alignas(32) float weight[kFewSegments];
  alignas(32) float base[kFewSegments];
  alignas(32) float offset[kFewSegments];
  bool shifted;                     // an offset is not 0
  std::size_t basis[kFewSegments];  // the basis n whose ramp the segment holds
};

// The segments of a neuron with halving steps, if its ramps are disjoint and its sums exact.
std::optional<Segments> segments_of(const Neuron& neuron);

// The segments of a neuron with any steps likewise, if they are few.
std::optional<FewSegments> few_segments_of(const Neuron& neuron);

}  // namespace onnx_snn

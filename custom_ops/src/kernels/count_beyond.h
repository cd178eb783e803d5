// SPDX-License-Identifier: Apache-2.0
// Elements beyond the range of a neuron, counted in loops that compilers vectorise:
//
//     x < lowest * scale  or  x > highest * scale
//
// Both comparisons are false for NaN. The elements are few enough to stay in the first-level cache for the evaluation
// that follows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace onnx_snn {

// Elements of a part, whose count fits into 32 bits.
inline constexpr std::size_t kCountedPart = 1u << 16;

template <class Simd>
std::size_t count_beyond(const Range& range, const Scale& scale, const float* x, std::size_t count) {
  const float lowest = range.lowest, highest = range.highest;
  const bool varies = scale.kind != Rescaling::kNone && scale.along.stride != 0;
  const float uniform = scale.kind == Rescaling::kNone ? 1 : scale.along.values[0];
  const float low = lowest * uniform, high = highest * uniform;
  std::size_t found = 0;
  for (std::size_t first = 0; first < count; first += kCountedPart) {
    const std::size_t size = count - first < kCountedPart ? count - first : kCountedPart;
    const float* const part = x + first;
    std::uint32_t beyond = 0;
    if (varies) {
      const float* const scales = scale.along.values + first;
      for (std::size_t i = 0; i < size; ++i) {
        beyond += (part[i] < lowest * scales[i]) | (part[i] > highest * scales[i]);
      }
    } else {
      for (std::size_t i = 0; i < size; ++i) beyond += (part[i] < low) | (part[i] > high);
    }
    found += beyond;
  }
  return found;
}

// Adds to the count of a guard, which only few runs do.
template <class Simd>
void watch(const Guard& guard, const Scale& scale, const float* x, std::size_t count) {
  const std::size_t beyond = count_beyond<Simd>(guard.range, scale, x, count);
  if (beyond != 0) guard.saturated.fetch_add(static_cast<std::int64_t>(beyond), std::memory_order_relaxed);
}

}  // namespace onnx_snn

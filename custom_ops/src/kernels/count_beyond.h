// SPDX-License-Identifier: Apache-2.0
// Elements beyond the range of a neuron, counted in loops that compilers vectorise:
//
//     x < lowest * scale  or  x > highest * scale
//
// Comparisons are false for NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace onnx_snn {

// Elements of a part, whose count fits into 32 bits.
inline constexpr std::size_t kCountedPart = 1u << 16;

// The number of i below `count` for which beyond(i) is true.
template <class Beyond>
std::size_t count_where(std::size_t count, Beyond beyond) {
  std::size_t found = 0;
  for (std::size_t first = 0; first < count; first += kCountedPart) {
    const std::size_t last = count - first < kCountedPart ? count : first + kCountedPart;
    std::uint32_t in_part = 0;
    for (std::size_t i = first; i < last; ++i) in_part += beyond(i);
    found += in_part;
  }
  return found;
}

// With scale(i) that of element i. A range that mirrors itself takes one comparison, as does one without a lower end.
template <class ScaleOf>
std::size_t count_beyond(const Range& range, const float* x, std::size_t count, ScaleOf scale) {
  const float lowest = range.lowest, highest = range.highest;
  if (lowest == -highest) {
    return count_where(count, [=](std::size_t i) { return __builtin_fabsf(x[i]) > highest * scale(i); });
  }
  if (lowest == -__builtin_inff()) {
    return count_where(count, [=](std::size_t i) { return x[i] > highest * scale(i); });
  }
  return count_where(count, [=](std::size_t i) -> bool {
    return static_cast<int>(x[i] < lowest * scale(i)) | static_cast<int>(x[i] > highest * scale(i));
  });
}

// Adds to the count of a guard, which only few runs do.
template <class Simd>
void watch(const Guard& guard, const Scale& scale, const float* x, std::size_t count) {
  const float* const scales = scale.along.values;
  const bool varies = scale.kind != Rescaling::kNone && scale.along.stride != 0;
  const float uniform = scale.kind == Rescaling::kNone ? 1 : scales[0];
  const std::size_t beyond = varies ? count_beyond(guard.range, x, count, [=](std::size_t i) { return scales[i]; })
                                    : count_beyond(guard.range, x, count, [=](std::size_t) { return uniform; });
  if (beyond != 0) guard.saturated.fetch_add(static_cast<std::int64_t>(beyond), std::memory_order_relaxed);
}

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Exact arithmetic: numbers as multiples of powers of two.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace onnx_snn {

// The largest power of two that divides `value`; infinity for 0. Sums of multiples of one unit are exact while they are
// below 2**24 units in float32, and below 2**53 units in float64.
inline double unit_of(double value) {
  if (value == 0) return std::numeric_limits<double>::infinity();
  int exponent;
  const auto integer = static_cast<std::int64_t>(std::ldexp(std::frexp(value, &exponent), 53));
  return std::ldexp(static_cast<double>(integer & -integer), exponent - 53);
}

// Whether float32 holds `value`.
inline bool is_float32(double value) { return static_cast<double>(static_cast<float>(value)) == value; }

}  // namespace onnx_snn

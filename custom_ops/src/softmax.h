// SPDX-License-Identifier: Apache-2.0
// Softmax over rows: e = 2**floor(z) * exp2(z - floor(z)), z = (x - max x) log2(e); y = e * 1/sum(e).
#pragma once

#include <cstring>

#include "inverse.h"
#include "rows.h"

namespace onnx_snn {
namespace {

constexpr float kLog2E = 0x1.715476p+0f;

// 2**-126 is the smallest normal float32; smaller exponentials are zero against the row's largest, which is 1.
constexpr float kLowestNormal = -126;

// z capped from below, and its floor; a NaN stays in z and has floor 0.
struct Exponent {
  float z, floor;
  bool vanishing;
};

inline Exponent exponent_of(float x, float maximum) {
  const float z = (x - maximum) * kLog2E;
  const bool vanishing = z < kLowestNormal;
  const float capped = vanishing ? kLowestNormal : z;
  const float finite = capped == capped ? capped : 0;
  const float truncated = static_cast<float>(static_cast<std::int32_t>(finite));
  return {capped, truncated - (truncated > finite ? 1.0f : 0.0f), vanishing};
}

// 2**exponent for whole numbers from -126 to 0.
inline float power_of_two(float exponent) {
  const std::int32_t bits = (static_cast<std::int32_t>(exponent) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return power;
}

inline float maximum_of(const float* x, std::size_t length) {
  return reduce(
      length, -INFINITY, [x](std::size_t i) { return x[i]; }, [](float a, float b) { return b > a ? b : a; });
}

template <class Simd>
void softmax(const Softmax& softmax, const float* x, float* y, std::size_t rows, std::size_t length) {
  each_rows(rows, length, [&](std::size_t first, std::size_t count) {
    float maximum[kMostRows], inverse[kMostRows];
    float* const block = y + first * length;
    for (std::size_t r = 0; r < count; ++r) {
      const float* in = x + (first + r) * length;
      float* fraction = block + r * length;
      maximum[r] = maximum_of(in, length);
      for (std::size_t i = 0; i < length; ++i) {
        const Exponent e = exponent_of(in[i], maximum[r]);
        fraction[i] = e.z - e.floor;
      }
    }
    if (softmax.exp2_spikes) count_spikes<Simd>(softmax.exp2, {}, block, count * length, softmax.exp2_spikes);
    evaluate<Simd>(softmax.exp2, {}, block, block, count * length);
    for (std::size_t r = 0; r < count; ++r) {
      const float* in = x + (first + r) * length;
      float* exponential = block + r * length;
      for (std::size_t i = 0; i < length; ++i) {
        const Exponent e = exponent_of(in[i], maximum[r]);
        exponential[i] = e.vanishing ? 0 : exponential[i] * power_of_two(e.floor);
      }
      inverse[r] = static_cast<float>(sum(length, [=](std::size_t i) { return exponential[i]; }));
    }
    invert<Simd, 1>(softmax.reciprocal, inverse, count, softmax.reciprocal_spikes);
    for (std::size_t r = 0; r < count; ++r) {
      float* out = block + r * length;
      for (std::size_t i = 0; i < length; ++i) out[i] *= inverse[r];
    }
  });
}

}  // namespace
}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Softmax over rows, with exp2 and 1/v by neurons:
//
//     z = (x - max x) * log2(e)
//     p = 2**floor(z) * exp2(z - floor(z))
//     y = p * (1 / sum p)
#pragma once

#include "kernels/evaluate.h"
#include "kernels/mantissa_inverse.h"
#include "kernels/rows.h"

namespace onnx_snn {
// Compiled once for each instruction set: the linker must not merge the copies.
namespace {

constexpr float kLog2E = 0x1.715476p+0f;

// 2**-126 is the smallest normal float32; smaller exponentials count as 0 beside the row's largest, which is 1.
constexpr float kLowestNormal = -126;

// z = (x - maximum) * log2(e).
template <class Simd>
typename Simd::Float exponent_of(typename Simd::Float x, float maximum) {
  return Simd::multiply(Simd::subtract(x, Simd::broadcast(maximum)), Simd::broadcast(kLog2E));
}

// max(z, -126).
template <class Simd>
typename Simd::Float capped(typename Simd::Float z) {
  const auto lowest = Simd::broadcast(kLowestNormal);
  return Simd::select(Simd::less(z, lowest), lowest, z);
}

// z - floor(z), in [0, 1).
template <class Simd>
[[gnu::flatten]] void fractions(const float* x, float maximum, float* fraction, std::size_t length) {
  each_vector<Simd>(length, [&](std::size_t i, auto load, auto store) {
    const auto z = capped<Simd>(exponent_of<Simd>(load(x + i), maximum));
    store(fraction + i, Simd::subtract(z, Simd::floor(z)));
  });
}

// y = 2**floor(z) * y, or 0 where z < -126. Adding 0 turns -0 into +0.
template <class Simd>
[[gnu::flatten]] void shift(const float* x, float maximum, float* y, std::size_t length) {
  each_vector<Simd>(length, [&](std::size_t i, auto load, auto store) {
    const auto z = exponent_of<Simd>(load(x + i), maximum);
    const auto shifted = Simd::multiply(load(y + i), Simd::power_of_two(Simd::floor(capped<Simd>(z))));
    const auto remaining = Simd::select(Simd::less(z, Simd::broadcast(kLowestNormal)), Simd::broadcast(0), shifted);
    store(y + i, Simd::add(remaining, Simd::broadcast(0)));
  });
}

inline float maximum_of(const float* x, std::size_t length) {
  return reduce(length, -INFINITY, [x](std::size_t i) { return x[i]; }, [](float a, float b) { return b > a ? b : a; });
}

template <class Simd>
void softmax(const Softmax& softmax, const float* x, float* y, std::size_t rows, std::size_t length) {
  each_rows(rows, length, [&](std::size_t first, std::size_t count) {
    float maximum[kMostRows], inverse[kMostRows];
    float* const block = y + first * length;
    for (std::size_t r = 0; r < count; ++r) {
      const float* in = x + (first + r) * length;
      maximum[r] = maximum_of(in, length);
      fractions<Simd>(in, maximum[r], block + r * length, length);
    }
    evaluate<Simd>(softmax.exp2, {}, block, block, count * length, softmax.exp2_spikes);
    for (std::size_t r = 0; r < count; ++r) {
      float* exponential = block + r * length;
      shift<Simd>(x + (first + r) * length, maximum[r], exponential, length);
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

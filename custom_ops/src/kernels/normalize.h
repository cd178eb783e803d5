// SPDX-License-Identifier: Apache-2.0
// Normalization of rows, with an identity code and 1/sqrt(v) by neurons:
//
//     c = deviation(x - mean(x))                               layer normalization
//     c = deviation(x)                                         root-mean-square normalization
//     y = c * (1 / sqrt(mean(c**2) + epsilon)) * gamma + beta
#pragma once

#include <algorithm>

#include "kernels/count_beyond.h"
#include "kernels/evaluate.h"
#include "kernels/mantissa_inverse.h"
#include "kernels/rows.h"

namespace onnx_snn {
// Compiled once for each instruction set: the linker must not merge the copies.
namespace {

// x - mean(x), the mean rounded to float32.
inline void centre(const float* x, float* deviation, std::size_t length) {
  const double total = sum(length, [x](std::size_t i) { return x[i]; });
  const float mean = static_cast<float>(total / static_cast<double>(length));
  for (std::size_t i = 0; i < length; ++i) deviation[i] = x[i] - mean;
}

inline float mean_square(const float* c, std::size_t length) {
  const double total = sum(length, [c](std::size_t i) { return static_cast<double>(c[i]) * c[i]; });
  return static_cast<float>(total / static_cast<double>(length));
}

// The scale of a row, repeated for all rows of a block, so that kernels see the block as one run of elements.
class BlockScale {
 public:
  BlockScale(const Scale& row, std::size_t rows, std::size_t length) : scale_(row) {
    // A scale that is one value, or for one row, needs no repetition.
    if (row.kind == Rescaling::kNone || row.along.stride == 0 || rows == 1) return;
    for (std::size_t r = 0; r < rows; ++r) std::copy_n(row.along.values, length, written_ + r * length);
    scale_.along.values = written_;
  }
  BlockScale(const BlockScale&) = delete;
  BlockScale& operator=(const BlockScale&) = delete;

  const Scale& operator*() const { return scale_; }

 private:
  Scale scale_;
  float written_[kRowElements];
};

// Calls use(at) with at(i) the i-th value along a row.
template <class Use>
void with_values(const Along& along, Use use) {
  const float* values = along.values;
  if (along.stride != 0) return use([=](std::size_t i) { return values[i]; });
  return use([value = values[0]](std::size_t) { return value; });
}

// y = (c * inverse) * gamma + beta, each operation rounded; y holds c.
inline void apply_affine(const Normalization& norm, float inverse, float* y, std::size_t length) {
  with_values(norm.gamma, [&](auto gamma) {
    for (std::size_t i = 0; i < length; ++i) y[i] = y[i] * inverse * gamma(i);
  });
  if (!norm.beta.values) return;
  with_values(norm.beta, [&](auto beta) {
    for (std::size_t i = 0; i < length; ++i) y[i] += beta(i);
  });
}

template <class Simd>
void normalize(const Normalization& norm, const float* x, float* y, std::size_t rows, std::size_t length) {
  const BlockScale scale(norm.deviation_scale, std::min(rows, rows_of_block(length)), length);
  each_rows(rows, length, [&](std::size_t first, std::size_t count) {
    float inverse[kMostRows];
    const float* in = x + first * length;
    float* const block = y + first * length;
    if (norm.centred) {
      for (std::size_t r = 0; r < count; ++r) centre(in + r * length, block + r * length, length);
      in = block;
    }
    if (norm.deviation_guard != nullptr) watch<Simd>(*norm.deviation_guard, *scale, in, count * length);
    evaluate<Simd>(norm.deviation, *scale, in, block, count * length, norm.deviation_spikes);
    for (std::size_t r = 0; r < count; ++r) inverse[r] = mean_square(block + r * length, length) + norm.epsilon;
    invert<Simd, 2>(norm.rsqrt, inverse, count, norm.rsqrt_spikes);
    for (std::size_t r = 0; r < count; ++r) apply_affine(norm, inverse[r], block + r * length, length);
  });
}

}  // namespace
}  // namespace onnx_snn

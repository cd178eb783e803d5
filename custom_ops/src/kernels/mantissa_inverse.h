// SPDX-License-Identifier: Apache-2.0
// 1/v and 1/sqrt(v) by neurons that know one period of the mantissa m, where v = m * 2**e:
//
//     1/v       = 1/m * 2**-e              m in [0.5, 1)
//     1/sqrt(v) = 1/sqrt(m) * 2**(-e/2)    m in [0.5, 2), e even
#pragma once

#include <cmath>

#include "kernels/evaluate.h"

namespace onnx_snn {
// Compiled once for each instruction set: the linker must not merge the copies.
namespace {

// Replaces v[i] by 1/v[i] where `root` is 1, by 1/sqrt(v[i]) where it is 2. Exact for 0, infinity and NaN; a zero
// result is +0, also where a negative number underflows.
template <class Simd, int root>
void invert(const Neuron& neuron, float* v, std::size_t count, SpikeCounter* spikes) {
  each_block({}, count, [&](std::size_t first, std::size_t size, const Scale& unscaled) {
    Block<float> mantissa;
    Block<int> exponent;
    float* const block = v + first;
    for (std::size_t i = 0; i < size; ++i) {
      const bool regular = block[i] > 0 && block[i] < INFINITY;
      const double fraction = std::frexp(regular ? static_cast<double>(block[i]) : 1.0, &exponent[i]);
      const int odd = root == 2 ? exponent[i] & 1 : 0;
      exponent[i] = (exponent[i] - odd) / root;
      mantissa[i] = static_cast<float>(odd ? 2 * fraction : fraction);
    }
    evaluate<Simd>(neuron, unscaled, mantissa, mantissa, size, spikes);
    for (std::size_t i = 0; i < size; ++i) {
      const bool regular = block[i] > 0 && block[i] < INFINITY;
      const float exceptional = 1.0f / (root == 2 ? std::sqrt(block[i]) : block[i]);
      const double scaled = std::ldexp(static_cast<double>(mantissa[i]), -exponent[i]);
      block[i] = (regular ? static_cast<float>(scaled) : exceptional) + 0.0f;
    }
  });
}

}  // namespace
}  // namespace onnx_snn

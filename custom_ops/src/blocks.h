// SPDX-License-Identifier: Apache-2.0
// Loops over bases and time steps for a block of elements, which compilers turn into vector code.
#pragma once

#include <cstddef>
#include <cstdint>

#include "neuron.h"

namespace onnx_snn {
// Compiled once for each instruction set: the linker must not merge the copies.
namespace {

// Elements of a block: their state stays in the first cache.
constexpr std::size_t kBlock = 128;

template <class T>
using Block = T[kBlock];

// The level of a charge: clip(floor(charge), 0, top), 0 for NaN.
inline float level_of(float charge, float top) {
  const float raised = charge > 0 ? charge : 0;
  const float clipped = raised < top ? raised : top;
  return static_cast<float>(static_cast<std::int32_t>(clipped));
}

// Levels of one basis of a halving neuron.
inline void levels(const Neuron& neuron, std::size_t n, const Block<float>& x, Block<float>& level) {
  const float u_rest = neuron.u_rest[n], gain = neuron.level_gain[n], top = neuron.halving.top();
  for (std::size_t i = 0; i < kBlock; ++i) level[i] = level_of((x[i] - u_rest) * gain, top);
}

// Runs one basis through all time steps: visit(t, s) with s[i] all ones where element i fires, else 0.
template <class Visit>
void spike_train(const Neuron& neuron, std::size_t n, const Block<float>& x, Visit visit) {
  Block<float> u;
  Block<std::int32_t> s;
  for (std::size_t i = 0; i < kBlock; ++i) u[i] = (x[i] - neuron.u_rest[n]) * neuron.gain[n];
  for (std::size_t t = 0; t < neuron.timesteps; ++t) {
    const float threshold = neuron.threshold[t * neuron.bases + n];
    const float reset = neuron.reset[t * neuron.bases + n];
    for (std::size_t i = 0; i < kBlock; ++i) s[i] = -(u[i] >= threshold);
    for (std::size_t i = 0; i < kBlock; ++i) u[i] = s[i] ? u[i] - reset : u[i];
    visit(t, s);
  }
}

// Accumulated intensity of one basis, by the definition.
inline void intensities(const Neuron& neuron, std::size_t n, const Block<float>& x, Block<float>& o) {
  for (float& entry : o) entry = 0;
  spike_train(neuron, n, x, [&](std::size_t t, const Block<std::int32_t>& s) {
    const float intensity = neuron.intensity[t * neuron.bases + n];
    for (std::size_t i = 0; i < kBlock; ++i) o[i] = s[i] ? o[i] + intensity : o[i];
  });
}

// y = bias + sum_n weight_n * o_n in float64, rounded once.
inline void readout(const Neuron& neuron, const Block<float>& x, Block<float>& y) {
  const bool halving = neuron.halving.timesteps != 0;
  const double* weight = halving ? neuron.level_weight.data() : neuron.weight.data();
  Block<double> sum;
  Block<float> o;
  for (double& s : sum) s = neuron.bias;
  for (std::size_t n = 0; n < neuron.bases; ++n) {
    if (halving) {
      levels(neuron, n, x, o);
    } else {
      intensities(neuron, n, x, o);
    }
    for (std::size_t i = 0; i < kBlock; ++i) sum[i] += weight[n] * static_cast<double>(o[i]);
  }
  for (std::size_t i = 0; i < kBlock; ++i) y[i] = static_cast<float>(sum[i]);
}

}  // namespace
}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Path::kGeneric: a block of elements goes through one basis after the other, in loops that compilers vectorise.
//
//     u_n = (x - u_rest_n) * gain_n
//     for t in 0 .. S-1:  s = u_n >= threshold[t, n];  u_n -= reset[t, n] where s;  o_n += intensity[t, n] where s
//     y = bias + sum_n weight_n * o_n                   in float64, rounded once
//
// With halving kernels o_n is the level k_n = clip(floor((x - u_rest_n) * level_gain_n), 0, top), and weight_n is
// level_weight_n.
#pragma once

#include <cstddef>
#include <cstdint>

#include "counting/spike_counter.h"
#include "kernels/blocks.h"
#include "kernels/scale_and_sign.h"

namespace onnx_snn {
// Compiled once for each instruction set: the linker must not merge the copies.
namespace {

// clip(floor(charge), 0, top), 0 for NaN.
inline float level_of(float charge, float top) {
  const float raised = charge > 0 ? charge : 0;
  const float clipped = raised < top ? raised : top;
  return static_cast<float>(static_cast<std::int32_t>(clipped));
}

// k = the levels of basis n, by the closed form of halving kernels.
inline void levels(const Neuron& neuron, std::size_t n, const Block<float>& x, Block<float>& k) {
  const float u_rest = neuron.u_rest[n], gain = neuron.level_gain[n], top = neuron.steps->top();
  for (std::size_t i = 0; i < kBlock; ++i) k[i] = level_of((x[i] - u_rest) * gain, top);
}

// Runs basis n through all time steps: visit(t, s) with s[i] all ones where element i fires, else 0.
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

// o = the accumulated intensities of basis n, by the definition.
inline void intensities(const Neuron& neuron, std::size_t n, const Block<float>& x, Block<float>& o) {
  for (float& entry : o) entry = 0;
  spike_train(neuron, n, x, [&](std::size_t t, const Block<std::int32_t>& s) {
    const float intensity = neuron.intensity[t * neuron.bases + n];
    for (std::size_t i = 0; i < kBlock; ++i) o[i] = s[i] ? o[i] + intensity : o[i];
  });
}

// y = bias + sum_n weight_n * o_n in float64, rounded once.
inline void readout(const Neuron& neuron, const Block<float>& x, Block<float>& y) {
  const bool halving = neuron.halving();
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

// Counts the spikes of the first `count` elements of a block.
inline void count_spikes(const Neuron& neuron, const Block<float>& x, std::size_t count, SpikeCounter& counter) {
  for (std::size_t n = 0; n < neuron.bases; ++n) {
    spike_train(neuron, n, x, [&](std::size_t t, const Block<std::int32_t>& s) {
      std::int32_t fired = 0;
      for (std::size_t i = 0; i < count; ++i) fired -= s[i];
      counter.add(t, n, fired);
    });
  }
}

}  // namespace

// Writes what the bases see of x, |x / scale| where the neuron is odd, and 0 after the last element.
template <class Simd>
void magnitudes(const Neuron& neuron, const Scale& scale, const float* x, std::size_t count, Block<float>& magnitude) {
  for (std::size_t i = count; i < kBlock; ++i) magnitude[i] = 0;
  each_scaled<Simd>(neuron.odd, scale, x, count,
                    [&](std::size_t i, const auto& scaled) { Simd::store(magnitude + i, scaled.magnitude()); });
}

template <class Simd>
void evaluate_generic(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                      SpikeCounter* counter) {
  each_padded_block<kBlock, Simd::kLanes>(
      scale, x, y, count, [&](const float* from, float* to, std::size_t size, const Scale& here) {
        alignas(64) Block<float> magnitude, result;
        magnitudes<Simd>(neuron, here, from, size, magnitude);
        if (counter != nullptr) count_spikes(neuron, magnitude, size, *counter);
        readout(neuron, magnitude, result);
        each_scaled<Simd>(neuron.odd, here, from, size, [&](std::size_t i, const auto& scaled) {
          Simd::store(to + i, scaled.restore(Simd::load(result + i)));
        });
      });
}

}  // namespace onnx_snn

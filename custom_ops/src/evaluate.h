// SPDX-License-Identifier: Apache-2.0
// y = neuron(x / scale) * scale by the shortest way that the neuron's parameters allow.
#pragma once

#include "frame.h"
#include "segment_bank.h"

namespace onnx_snn {

// The leaves of the segments of a block.
template <class Simd, class Bank>
void find_leaves(const Neuron& neuron, const Bank& bank, const Scale& scale, const float* x, std::size_t count,
                 Block<std::int32_t>& leaf) {
  each_framed<Simd>(neuron.odd, scale, x, count, [&](std::size_t i, const auto& framed, auto) {
    Simd::store_index(leaf + i, bank.leaf(framed.magnitude()));
  });
}

template <class Simd>
void evaluate_segments(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count) {
  with_segment_bank<Simd>(neuron, [&](const auto& bank) {
    each_block(scale, count, [&](std::size_t first, std::size_t size, const Scale& here) {
      alignas(64) Block<std::int32_t> leaf;
      find_leaves<Simd>(neuron, bank, here, x + first, size, leaf);
      each_framed<Simd>(neuron.odd, here, x + first, size, [&](std::size_t i, const auto& framed, auto store) {
        store(y + first + i, framed.restore(bank(framed.magnitude(), leaf + i)));
      });
    });
  });
}

template <class Simd>
void evaluate_bases(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count) {
  each_block(scale, count, [&](std::size_t first, std::size_t size, const Scale& here) {
    alignas(64) Block<float> magnitude, result;
    magnitudes<Simd>(neuron, here, x + first, size, magnitude);
    readout(neuron, magnitude, result);
    each_framed<Simd>(neuron.odd, here, x + first, size, [&](std::size_t i, const auto& framed, auto store) {
      store(y + first + i, framed.restore(Simd::load(result + i)));
    });
  });
}

template <class Simd>
void evaluate(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count) {
  if (neuron.segments.depth != 0) return evaluate_segments<Simd>(neuron, scale, x, y, count);
  return evaluate_bases<Simd>(neuron, scale, x, y, count);
}

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Path::kSegmented: a block of elements in two passes. The first finds the segment of each x; the second evaluates
//
//     y = base + weight * clip(floor((x - u_rest) * gain), 0, top)
//
// with the parameters of that segment.
#pragma once

#include "counting/spike_counter.h"
#include "kernels/counted_blocks.h"
#include "kernels/scale_and_sign.h"
#include "kernels/segment_bank.h"

namespace onnx_snn {

// First pass: the leaves of the segments of a block.
template <class Simd, class Bank>
void find_leaves(const Neuron& neuron, const Bank& bank, const Scale& scale, const float* x, std::size_t count,
                 Block<std::int32_t>& leaf) {
  each_scaled<Simd>(neuron.odd, scale, x, count, [&](std::size_t i, const auto& scaled) {
    Simd::store_index(leaf + i, bank.leaf(scaled.magnitude()));
  });
}

template <class Simd>
void evaluate_uncounted(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count) {
  with_segment_bank<Simd>(neuron, [&](const auto& bank) {
    each_padded_block<kBlock, Simd::kLanes>(
        scale, x, y, count, [&](const float* from, float* to, std::size_t size, const Scale& here) {
          alignas(64) Block<std::int32_t> leaf;
          find_leaves<Simd>(neuron, bank, here, from, size, leaf);
          each_scaled<Simd>(neuron.odd, here, from, size, [&](std::size_t i, const auto& scaled) {
            Simd::store(to + i, scaled.restore(bank(scaled.magnitude(), leaf + i, [](const auto&) {})));
          });
        });
  });
}

// The same, and its levels are counted.
template <class Simd>
void evaluate_counted(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                      LevelCounts& counts) {
  with_segment_bank<Simd>(neuron, [&](const auto& bank) {
    each_counted_block<Simd, kBlock>(
        neuron, scale, x, y, count, counts,
        [&](const float* from, float* to, std::size_t size, const Scale& here, const WaitingBytes& waiting) {
          alignas(64) Block<std::int32_t> leaf;
          find_leaves<Simd>(neuron, bank, here, from, size, leaf);
          const bool high = has_high_bits(neuron);
          each_scaled<Simd>(neuron.odd, here, from, size, [&](std::size_t i, const auto& scaled) {
            const auto keep = [&](const auto& charge) { store_word<Simd>(high, waiting, i, Simd::truncate(charge)); };
            Simd::store(to + i, scaled.restore(bank(scaled.magnitude(), leaf + i, keep)));
            Simd::store_bytes(waiting.owner + i, Simd::clear(scaled.is_nan(), Simd::load_index(leaf + i)));
          });
        });
  });
}

template <class Simd>
void evaluate_segmented(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                        SpikeCounter* counter) {
  if (counter != nullptr) return evaluate_counted<Simd>(neuron, scale, x, y, count, counter->levels());
  evaluate_uncounted<Simd>(neuron, scale, x, y, count);
}

}  // namespace onnx_snn

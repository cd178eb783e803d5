// SPDX-License-Identifier: Apache-2.0
// y = neuron(x / scale) * scale by the shortest way that the neuron's parameters allow, its spikes counted or not.
#pragma once

#include "count_levels.h"
#include "frame.h"
#include "greedy.h"
#include "segment_bank.h"
#include "spike_counter.h"

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
        store(y + first + i, framed.restore(bank(framed.magnitude(), leaf + i, [](const auto&) {})));
      });
    });
  });
}

// The same, with its levels counted.
template <class Simd>
void count_segments(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                    LevelCounts& counts) {
  with_segment_bank<Simd>(neuron, [&](const auto& bank) {
    each_block(scale, count, [&](std::size_t first, std::size_t size, const Scale& here) {
      alignas(64) Block<std::int32_t> leaf, owner, level;
      find_leaves<Simd>(neuron, bank, here, x + first, size, leaf);
      each_framed<Simd>(neuron.odd, here, x + first, size, [&](std::size_t i, const auto& framed, auto store) {
        const auto keep = [&](const auto& charge) { Simd::store_whole(level + i, charge); };
        store(y + first + i, framed.restore(bank(framed.magnitude(), leaf + i, keep)));
        Simd::store_unless(framed.is_nan(), owner + i, leaf + i);
      });
      count_block<typename Simd::Bytes>(counts, neuron, size, owner, level);
    });
  });
}

// Spikes of a neuron of overlapping ramps or other kernels, by the definition.
inline void count_trains(const Neuron& neuron, const Block<float>& magnitude, std::size_t count,
                         SpikeCounter& counter) {
  for (std::size_t n = 0; n < neuron.bases; ++n) {
    spike_train(neuron, n, magnitude, [&](std::size_t t, const Block<std::int32_t>& s) {
      std::int32_t fired = 0;
      for (std::size_t i = 0; i < count; ++i) fired -= s[i];
      counter.add(t, n, fired);
    });
  }
}

template <class Simd>
void evaluate_bases(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                    SpikeCounter* counter) {
  each_block(scale, count, [&](std::size_t first, std::size_t size, const Scale& here) {
    alignas(64) Block<float> magnitude, result;
    magnitudes<Simd>(neuron, here, x + first, size, magnitude);
    if (counter != nullptr) count_trains(neuron, magnitude, size, *counter);
    readout(neuron, magnitude, result);
    each_framed<Simd>(neuron.odd, here, x + first, size, [&](std::size_t i, const auto& framed, auto store) {
      store(y + first + i, framed.restore(Simd::load(result + i)));
    });
  });
}

template <class Simd>
void evaluate(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
              SpikeCounter* counter) {
  // Without vectors of their own, compilers have those of blocks.
  if constexpr (Simd::kLanes > 1) {
    if (neuron.fused) return evaluate_greedy<Simd>(neuron, scale, x, y, count, counter);
  }
  if (neuron.segments.depth == 0) return evaluate_bases<Simd>(neuron, scale, x, y, count, counter);
  if (counter != nullptr) return count_segments<Simd>(neuron, scale, x, y, count, counter->levels());
  return evaluate_segments<Simd>(neuron, scale, x, y, count);
}

}  // namespace onnx_snn

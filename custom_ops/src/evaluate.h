// SPDX-License-Identifier: Apache-2.0
// y = neuron(x / scale) * scale by the shortest way that the neuron's parameters allow, its spikes counted or not.
#pragma once

#include <algorithm>

#include "count_levels.h"
#include "frame.h"
#include "segment_bank.h"

namespace onnx_snn {

// The leaves of the segments of a block; visit(i) after those of the vector from i on.
template <class Simd, class Bank, class Visit>
void find_leaves(const Neuron& neuron, const Bank& bank, const Scale& scale, const float* x, std::size_t count,
                 Block<std::int32_t>& leaf, Visit visit) {
  each_framed<Simd>(neuron.odd, scale, x, count, [&](std::size_t i, const auto& framed, auto) {
    Simd::store_index(leaf + i, bank.leaf(framed.magnitude()));
    visit(i);
  });
}

template <class Simd>
void evaluate_segments(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count) {
  with_segment_bank<Simd>(neuron, [&](const auto& bank) {
    each_block(scale, count, [&](std::size_t first, std::size_t size, const Scale& here) {
      alignas(64) Block<std::int32_t> leaf;
      find_leaves<Simd>(neuron, bank, here, x + first, size, leaf, [](std::size_t) {});
      each_framed<Simd>(neuron.odd, here, x + first, size, [&](std::size_t i, const auto& framed, auto store) {
        store(y + first + i, framed.restore(bank(framed.magnitude(), leaf + i, [](const auto&) {})));
      });
    });
  });
}

// The same, with its spikes counted.
template <class Simd>
void count_segments(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                    SpikeCounter& counter) {
  with_segment_bank<Simd>(neuron, [&](const auto& bank) {
    LevelCount<Simd> levels(counter, bank.kLeaves);
    NanWatch<Simd> nan;
    each_block(scale, count, [&](std::size_t first, std::size_t size, const Scale& here) {
      if (first % counter.kMostExpected == 0) counter.expect(std::min(count - first, counter.kMostExpected));
      alignas(64) Block<std::int32_t> leaf;
      find_leaves<Simd>(neuron, bank, here, x + first, size, leaf, [&](std::size_t i) { levels.count(i); });
      levels.finish((size + Simd::kLanes - 1) / Simd::kLanes * Simd::kLanes);  // the last vector may be partial
      each_framed<Simd>(neuron.odd, here, x + first, size, [&](std::size_t i, const auto& framed, auto store) {
        const auto keep = [&](const auto& level) { levels.add(i, leaf, level); };
        const auto result = framed.restore(bank(framed.magnitude(), leaf + i, keep));
        nan.add(result);
        store(y + first + i, result);
      });
      levels.end(size, leaf);
    });
    counter.forget(nan.count(y, count));
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
  if (neuron.segments.depth == 0) return evaluate_bases<Simd>(neuron, scale, x, y, count, counter);
  if (counter != nullptr) return count_segments<Simd>(neuron, scale, x, y, count, *counter);
  return evaluate_segments<Simd>(neuron, scale, x, y, count);
}

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Spikes of one neuron, counted while it is evaluated.
//
// Where a neuron has segments, all bases but one are silent or saturated at any x. So it is enough to count, in each
// segment, the elements, the saturated ones among them, and how often each bit of their spike words is set: from these
// follows how often each basis fired at each time step. Of other neurons every spike is counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "counting/level_counts.h"
#include "neuron/neuron.h"

namespace onnx_snn {

class SpikeCounter {
 public:
  SpikeCounter(const Neuron& neuron, UnpackLevels unpack_levels);
  ~SpikeCounter();
  SpikeCounter(const SpikeCounter&) = delete;
  SpikeCounter& operator=(const SpikeCounter&) = delete;

  // Neurons with segments only: where the kernels count levels.
  LevelCounts& levels() { return *levels_; }

  // Other neurons only: basis n fired `count` times at time step t.
  void add(std::size_t t, std::size_t n, std::int64_t count) { spikes_[t * neuron_.bases + n] += count; }

  // Adds what was counted to spikes [S, N], and starts again from zero.
  void move_to(std::int64_t* spikes);

 private:
  void move_levels_to(std::int64_t* spikes);

  const Neuron& neuron_;
  UnpackLevels unpack_levels_;
  std::unique_ptr<LevelCounts> levels_;  // of neurons with segments
  std::vector<std::int64_t> spikes_;     // [S, N] of other neurons
};

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Spikes of one neuron, counted while it is evaluated.
//
// At any x all bases of a segmented neuron but one are silent or saturated. So all that need be counted is, in each
// segment, how many elements there are, how many of them are saturated, and how often each bit of their levels is set;
// how often each basis fired at each time step follows from that in the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "level_counts.h"
#include "neuron.h"

namespace onnx_snn {

class SpikeCounter {
 public:
  explicit SpikeCounter(const Neuron& neuron);
  ~SpikeCounter();
  SpikeCounter(const SpikeCounter&) = delete;
  SpikeCounter& operator=(const SpikeCounter&) = delete;

  // Where the levels of a segmented neuron are counted.
  LevelCounts& levels() { return *levels_; }

  // Any other neuron fired basis n `count` times at time step t.
  void add(std::size_t t, std::size_t n, std::int64_t count) { spikes_[t * neuron_.bases + n] += count; }

  // Adds what was counted to spikes [S, N], and starts again from nothing.
  void move_to(std::int64_t* spikes);

 private:
  void move_segments_to(std::int64_t* spikes);

  const Neuron& neuron_;
  std::unique_ptr<LevelCounts> levels_;  // of a segmented neuron
  std::vector<std::int64_t> spikes_;     // [S, N] of any other one
};

}  // namespace onnx_snn

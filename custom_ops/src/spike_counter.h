// SPDX-License-Identifier: Apache-2.0
// Spikes of one neuron, counted while it is evaluated.
//
// At any x all bases of a segmented neuron but one are silent or saturated. So all that need be counted is how often
// each level of each segment occurs; how often each basis fired at each time step follows from that in the end. Of
// levels of more than eight bits the lower eight and the others are counted apart.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "neuron.h"

namespace onnx_snn {

// How often keys occur. Each has two counters, in tables that take turns: an increment waits for the one before it
// where both are of the same counter, and some keys, such as that of 0, can occur much more often than others.
struct Occurrences {
  static constexpr std::size_t kNumberBits = 8;
  static constexpr std::size_t kKeys = kMaxSegments << kNumberBits;

  std::uint16_t even[kKeys], odd[kKeys];
};

// The levels of a segmented neuron that occurred.
struct LevelOccurrences {
  Occurrences low;   // keys segment << low_bits | lower bits of the level
  Occurrences high;  // keys segment << high_bits | its other bits, if it has any

  // Keys of the last block that are not counted in `low` yet.
  static constexpr std::size_t kMostKeys = 128;
  alignas(64) std::int32_t key[kMostKeys];
  std::size_t keys = 0;

  // Elements of one segment that are counted in neither.
  struct Segment {
    std::int64_t elements = 0;
    std::int64_t saturated = 0;
    std::array<std::int64_t, kMaxHalvingTimesteps> bits{};  // levels with bit b set
  };
  std::array<Segment, kMaxSegments> segments{};
};

class SpikeCounter {
 public:
  explicit SpikeCounter(const Neuron& neuron);
  ~SpikeCounter();
  SpikeCounter(const SpikeCounter&) = delete;
  SpikeCounter& operator=(const SpikeCounter&) = delete;

  // The most elements that a segmented neuron may meet after one call of `expect`.
  static constexpr std::size_t kMostExpected = 1u << 14;

  // Makes room for `count` elements of a segmented neuron, which are then counted in the tables below.
  void expect(std::size_t count) {
    pending_ += count;
    if (pending_ <= kMostPending) return;
    unpack();
    pending_ = count;
  }

  // Takes back elements that were counted at level 0 of segment 0, but are NaN and fire nothing.
  void forget(std::size_t missing) { levels_->segments[0].elements -= static_cast<std::int64_t>(missing); }

  std::size_t low_bits() const { return low_bits_; }
  std::size_t high_bits() const { return high_bits_; }
  LevelOccurrences& levels() { return *levels_; }

  // Tells the top level apart, where levels have high bits.
  void saturate(std::size_t segment) { ++levels_->segments[segment].saturated; }

  // Any other neuron fired basis n `count` times at time step t.
  void add(std::size_t t, std::size_t n, std::int64_t count) { spikes_[t * neuron_.bases + n] += count; }

  // Adds what was counted to spikes [S, N], and starts again from nothing.
  void move_to(std::int64_t* spikes);

 private:
  // Counters have 16 bits, and one of the two could take every element.
  static constexpr std::size_t kMostPending = UINT16_MAX;
  static_assert(kMostExpected <= kMostPending);

  void unpack();
  void move_segments_to(std::int64_t* spikes);

  const Neuron& neuron_;
  std::unique_ptr<LevelOccurrences> levels_;  // of a segmented neuron
  std::vector<std::int64_t> spikes_;          // [S, N] of any other one
  std::size_t low_bits_ = 0, high_bits_ = 0;
  std::size_t pending_ = 0;  // elements in `low`
};

}  // namespace onnx_snn

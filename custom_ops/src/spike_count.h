// SPDX-License-Identifier: Apache-2.0
// Spikes of each time step and basis, summed over elements.
#pragma once

#include <array>

#include "evaluate.h"

namespace onnx_snn {
namespace {

// A byte's bits, one in each byte of a word: the highest bit of the level, which fires first, in the lowest byte.
constexpr std::array<std::uint64_t, 256> spread_bits() {
  std::array<std::uint64_t, 256> spread{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      spread[byte] |= static_cast<std::uint64_t>(byte >> bit & 1) << (8 * bit);
    }
  }
  return spread;
}

constexpr std::array<std::uint64_t, 256> kSpread = spread_bits();

// Counts over the elements whose segment is that of one basis.
struct SegmentCount {
  std::int64_t elements = 0;
  std::int64_t saturated = 0;
  std::array<std::int64_t, kMaxHalvingTimesteps> bits{};  // levels with bit b set
};

// Counts of all segments. Bits are gathered eight to a word and unpacked before a byte can overflow.
class SegmentTally {
 public:
  SegmentTally(const Neuron& neuron) : top_(static_cast<std::int32_t>(neuron.halving.top())) {}

  void add(std::int32_t segment, std::int32_t level) {
    SegmentCount& count = counts_[segment];
    ++count.elements;
    count.saturated += level == top_;
    packed_[segment][0] += kSpread[level & 0xFF];
    packed_[segment][1] += kSpread[level >> 8];
    if (++pending_ == kMostPending) unpack();
  }

  const std::array<SegmentCount, kMaxSegments>& counts() {
    unpack();
    return counts_;
  }

 private:
  static constexpr int kMostPending = 255;

  void unpack() {
    for (std::size_t segment = 0; segment < kMaxSegments; ++segment) {
      for (std::size_t bit = 0; bit < kMaxHalvingTimesteps; ++bit) {
        counts_[segment].bits[bit] += packed_[segment][bit / 8] >> (8 * (bit % 8)) & 0xFF;
      }
      packed_[segment] = {};
    }
    pending_ = 0;
  }

  std::int32_t top_;
  int pending_ = 0;
  std::array<std::array<std::uint64_t, 2>, kMaxSegments> packed_{};
  std::array<SegmentCount, kMaxSegments> counts_{};
};

// Adds to one basis's column of spikes [S, N]: `saturated` elements at the top level, and `bits` of all levels.
void add_spikes(const Neuron& neuron, std::size_t basis, std::int64_t saturated,
                const std::array<std::int64_t, kMaxHalvingTimesteps>& bits, std::int64_t* spikes) {
  const auto [timesteps, gate] = neuron.halving;
  // With a gate a saturated basis fires it and nothing else.
  if (gate) spikes[basis] += saturated;
  for (std::size_t t = 0; t < timesteps; ++t) {
    spikes[(t + gate) * neuron.bases + basis] += bits[timesteps - 1 - t] - (gate ? saturated : 0);
  }
}

// Spikes of a segmented neuron: its bases before and after an element's segment are silent or saturated.
void add_spikes(const Neuron& neuron, const std::array<SegmentCount, kMaxSegments>& counts, std::int64_t* spikes) {
  std::int64_t elements = 0;
  for (const SegmentCount& count : counts) elements += count.elements;
  std::int64_t before = 0;
  for (std::size_t segment = 0; segment < neuron.bases; ++segment) {
    const SegmentCount& count = counts[segment];
    const std::size_t basis = neuron.segments.basis[segment];
    const bool rising = neuron.gain[basis] > 0;
    const std::int64_t elsewhere = rising ? elements - before - count.elements : before;
    auto bits = count.bits;
    for (std::int64_t& bit : bits) bit += elsewhere;
    add_spikes(neuron, basis, count.saturated + elsewhere, bits, spikes);
    before += count.elements;
  }
}

template <class Simd>
void count_segments(const Neuron& neuron, const Scale& scale, const float* x, std::size_t count,
                    std::int64_t* spikes) {
  SegmentTally tally(neuron);
  with_segment_bank<Simd>(neuron, [&](const auto& bank) {
    each_block(scale, count, [&](std::size_t first, std::size_t size, const Scale& here) {
      alignas(64) Block<std::int32_t> leaf;
      alignas(64) Block<float> level;
      find_leaves<Simd>(neuron, bank, here, x + first, size, leaf);
      each_framed<Simd>(neuron.odd, here, x + first, size, [&](std::size_t i, const auto& framed, auto) {
        Simd::store(level + i, bank.level(framed.magnitude(), leaf + i));
      });
      for (std::size_t i = 0; i < size; ++i) {
        const bool missing = x[first + i] != x[first + i];  // a NaN fires nothing
        if (!missing) tally.add(leaf[i] - bank.kLeaves, static_cast<std::int32_t>(level[i]));
      }
    });
  });
  add_spikes(neuron, tally.counts(), spikes);
}

// Spikes of a neuron of overlapping ramps or other kernels, by the definition.
template <class Simd>
void count_trains(const Neuron& neuron, const Scale& scale, const float* x, std::size_t count,
                  std::int64_t* spikes) {
  each_block(scale, count, [&](std::size_t first, std::size_t size, const Scale& here) {
    Block<float> magnitude;
    magnitudes<Simd>(neuron, here, x + first, size, magnitude);
    for (std::size_t n = 0; n < neuron.bases; ++n) {
      spike_train(neuron, n, magnitude, [&](std::size_t t, const Block<std::int32_t>& s) {
        std::int32_t fired = 0;
        for (std::size_t i = 0; i < size; ++i) fired -= s[i];
        spikes[t * neuron.bases + n] += fired;
      });
    }
  });
}

template <class Simd>
void count_spikes(const Neuron& neuron, const Scale& scale, const float* x, std::size_t count,
                  std::int64_t* spikes) {
  if (neuron.segments.depth != 0) return count_segments<Simd>(neuron, scale, x, count, spikes);
  return count_trains<Simd>(neuron, scale, x, count, spikes);
}

}  // namespace
}  // namespace onnx_snn

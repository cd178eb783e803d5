// SPDX-License-Identifier: Apache-2.0
// Counts the levels of segmented neurons: how often each occurs, and which bits they have.
#pragma once

#include <algorithm>

#include "blocks.h"
#include "spike_counter.h"

namespace onnx_snn {
namespace {

// Counts keys by turns in two tables.
inline void count_keys(const std::int32_t* key, std::int32_t count, Occurrences& occurrences) {
  std::uint16_t *const even = occurrences.even, *const odd = occurrences.odd;
  std::int32_t i = 0;
  for (; i < count - 3; i += 4) {
    ++even[key[i]];
    ++odd[key[i + 1]];
    ++even[key[i + 2]];
    ++odd[key[i + 3]];
  }
  for (; i < count; ++i) ++even[key[i]];
}

// The levels of blocks, counted by segment, which is leaf - first_leaf.
//
// Increments are stores, one a cycle, and leave the vector units idle: those of a block go between the instructions
// that find the leaves of the next one, whichever run that is of.
template <class Simd>
class LevelCount {
 public:
  LevelCount(SpikeCounter& counter, std::int32_t first_leaf)
      : counter_(counter),
        levels_(counter.levels()),
        first_leaf_(first_leaf),
        low_bits_(static_cast<int>(counter.low_bits())),
        high_bits_(static_cast<int>(counter.high_bits())) {}

  // Counts the vector from i on of the last block.
  void count(std::size_t i) {
    if (i + Simd::kLanes <= levels_.keys) count_keys(levels_.key + i, Simd::kLanes, levels_.low);
  }

  // Counts what is left of the last block, when all vectors below i were asked for.
  void finish(std::size_t i) {
    const std::size_t counted = std::min(i, levels_.keys) / Simd::kLanes * Simd::kLanes;
    count_keys(levels_.key + counted, static_cast<std::int32_t>(levels_.keys - counted), levels_.low);
    levels_.keys = 0;
  }

  // Takes the levels of the vector of a block from i on.
  void add(std::size_t i, const Block<std::int32_t>& leaf, const typename Simd::Float& level) {
    if (high_bits_ != 0) return Simd::store(level_ + i, level);
    Simd::store_key(levels_.key + i, leaf + i, first_leaf_, level, low_bits_);
  }

  // Ends a block of `count` elements.
  void end(std::size_t count, const Block<std::int32_t>& leaf) {
    if (high_bits_ != 0) split_levels(count, leaf);
    levels_.keys = count;
  }

 private:
  static_assert(LevelOccurrences::kMostKeys == kBlock);

  // Counts the higher bits, and leaves the keys of the lower ones.
  void split_levels(std::size_t count, const Block<std::int32_t>& leaf) {
    const std::int32_t mask = (1 << low_bits_) - 1, top = (1 << (low_bits_ + high_bits_)) - 1;
    alignas(64) Block<std::int32_t> high_key;
    std::int32_t saturated = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto level = static_cast<std::int32_t>(level_[i]), segment = leaf[i] - first_leaf_;
      levels_.key[i] = (segment << low_bits_) + (level & mask);
      high_key[i] = (segment << high_bits_) + (level >> low_bits_);
      saturated += level == top;
    }
    count_keys(high_key, static_cast<std::int32_t>(count), levels_.high);
    for (std::size_t i = 0; saturated > 0; ++i) {
      if (static_cast<std::int32_t>(level_[i]) != top) continue;
      counter_.saturate(static_cast<std::size_t>(leaf[i] - first_leaf_));
      --saturated;
    }
  }

  SpikeCounter& counter_;
  LevelOccurrences& levels_;
  std::int32_t first_leaf_;
  int low_bits_, high_bits_;
  alignas(64) Block<float> level_;
};

// Finds out whether a run holds NaN, most of which do not. Where y is NaN, so is x.
template <class Simd>
class NanWatch {
 public:
  void add(const typename Simd::Float& y) { zero_ = Simd::add(zero_, Simd::multiply(y, Simd::broadcast(0))); }

  std::size_t count(const float* y, std::size_t count) const {
    alignas(64) float zero[Simd::kLanes];
    Simd::store(zero, zero_);
    bool suspicious = false;  // also of infinities
    for (const float lane : zero) suspicious |= lane != 0;
    return suspicious ? static_cast<std::size_t>(std::count_if(y, y + count, [](float v) { return v != v; })) : 0;
  }

 private:
  typename Simd::Float zero_ = Simd::broadcast(0);
};

template <std::size_t kBits>
std::uint32_t count_bits(std::uint16_t* even, std::uint16_t* odd, std::int64_t* set) {
  constexpr std::size_t kNumbers = std::size_t{1} << kBits;
  std::uint16_t occurrences[kNumbers], any = 0;
  for (std::size_t i = 0; i < kNumbers; ++i) {
    occurrences[i] = static_cast<std::uint16_t>(even[i] + odd[i]);
    any |= occurrences[i];
  }
  if (any == 0) return 0;
  for (std::size_t i = 0; i < kNumbers; ++i) even[i] = odd[i] = 0;
  for (std::size_t bit = kBits; bit-- > 0;) {
    const std::size_t half = std::size_t{1} << bit;
    std::uint16_t sum = 0;
    for (std::size_t i = 0; i < half; ++i) {
      sum = static_cast<std::uint16_t>(sum + occurrences[half + i]);
      occurrences[i] = static_cast<std::uint16_t>(occurrences[i] + occurrences[half + i]);  // without this bit
    }
    set[bit] += sum;
  }
  return occurrences[0];
}

// See kernels.h.
inline std::uint32_t count_bits(std::uint16_t* even, std::uint16_t* odd, std::size_t bits, std::int64_t* set) {
  switch (bits) {
    case 1: return count_bits<1>(even, odd, set);
    case 2: return count_bits<2>(even, odd, set);
    case 3: return count_bits<3>(even, odd, set);
    case 4: return count_bits<4>(even, odd, set);
    case 5: return count_bits<5>(even, odd, set);
    case 6: return count_bits<6>(even, odd, set);
    case 7: return count_bits<7>(even, odd, set);
    default: return count_bits<8>(even, odd, set);
  }
}

}  // namespace
}  // namespace onnx_snn

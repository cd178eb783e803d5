// SPDX-License-Identifier: Apache-2.0
// Counts the spike words of neurons with segments: how many elements each segment has, how many of them are saturated,
// and how often each bit of their words is set.
#pragma once

#include <type_traits>
#include <utility>

#include "counting/positional_popcount.h"

namespace onnx_snn {
// Compiled once for each instruction set: the linker must not merge the copies.
namespace {

inline bool has_high_bits(const Neuron& neuron) { return neuron.steps->timesteps > kBitsOfByte; }

// Adds the sum of all lanes to the total, and clears the row.
template <class Bytes>
void drain(Row& row, std::int64_t& total) {
  for (std::size_t column = 0; column < Row::kBytes; column += Bytes::kLanes) {
    total += Bytes::sum(Bytes::load(bytes_of(row) + column));
  }
  row = {};
}

inline std::uint8_t owner_of(const Neuron& neuron, std::size_t segment) {
  return static_cast<std::uint8_t>(neuron.first_owner() + segment);
}

// How many segments, from the first, there are up to the last one that owns an element of the rows. Codes reach beyond
// most values, so that the last segments are often without.
template <class Bytes>
std::size_t owning_segments(LevelCounts& counts, const Neuron& neuron) {
  auto largest = Bytes::broadcast(0);
  for (Row& row : counts.owner) {
    for (std::size_t column = 0; column < Row::kBytes; column += Bytes::kLanes) {
      largest = Bytes::larger(largest, Bytes::load(bytes_of(row) + column));
    }
  }
  std::size_t segments = neuron.bases;
  while (segments > 1) {
    const auto last = Bytes::broadcast(owner_of(neuron, segments - 1));
    if (Bytes::any(Bytes::equal(Bytes::larger(largest, last), largest))) break;
    --segments;
  }
  return segments;
}

// Counts eight rows of elements in every segment, with the elements of other segments masked out. A single segment owns
// all: a NaN fires nothing there, and how many elements it has does not matter.
template <class Bytes, bool kWide, bool kSingle>
void count_group(LevelCounts& counts, const Neuron& neuron) {
  using Vector = typename Bytes::Vector;
  const std::uint32_t top = neuron.steps->full_word();
  const auto top_low = Bytes::broadcast(static_cast<std::uint8_t>(top));
  const auto top_high = Bytes::broadcast(static_cast<std::uint8_t>(top >> kBitsOfByte));
  const std::size_t segments = kSingle ? 1 : owning_segments<Bytes>(counts, neuron);
  for (std::size_t column = 0; column < Row::kBytes; column += Bytes::kLanes) {
    const auto load = [&](Row& row) { return Bytes::load(bytes_of(row) + column); };
    const auto add = [&](Row& row, const auto& v) { Bytes::store(bytes_of(row) + column, Bytes::add(load(row), v)); };

    // What an element adds to the byte of its segment: 1 in the low nibble, and 1 in the high nibble if saturated.
    Vector mark[LevelCounts::kRows];
    for (std::size_t r = 0; r < LevelCounts::kRows; ++r) {
      auto saturated = Bytes::equal(load(counts.low[r]), top_low);
      if constexpr (kWide) saturated = Bytes::both(saturated, Bytes::equal(load(counts.high[r]), top_high));
      mark[r] = Bytes::add_where(saturated, Bytes::broadcast(1), Bytes::broadcast(16));
    }
    for (std::size_t segment = 0; segment < segments; ++segment) {
      const auto owner = Bytes::broadcast(owner_of(neuron, segment));
      const auto owned = [&](std::size_t r, const Vector& v) {
        if constexpr (kSingle) return v;
        return Bytes::keep(Bytes::equal(load(counts.owner[r]), owner), v);
      };
      auto marks = Bytes::broadcast(0);
      add_eight<Bytes>(counts.low_bits[segment], column, counts.groups[segment], [&](std::size_t r) {
        marks = Bytes::add(marks, owned(r, mark[r]));
        return owned(r, load(counts.low[r]));
      });
      if constexpr (kWide) {
        add_eight<Bytes>(counts.high_bits[segment], column, counts.groups[segment],
                         [&](std::size_t r) { return owned(r, load(counts.high[r])); });
      }
      add(counts.elements[segment], Bytes::low_nibbles(marks));
      add(counts.saturated[segment], Bytes::template shift_right<4>(marks));
    }
  }
  for (std::size_t segment = 0; segment < segments; ++segment) ++counts.groups[segment];
}

template <class Bytes>
void unpack_bytes(LevelCounts& counts, const Neuron& neuron) {
  for (std::size_t segment = 0; segment < neuron.bases; ++segment) {
    drain<Bytes>(counts.elements[segment], counts.totals[segment].elements);
    drain<Bytes>(counts.saturated[segment], counts.totals[segment].saturated);
  }
  counts.groups_of_bytes = 0;
}

template <class Bytes>
void unpack_bits(LevelCounts& counts, const Neuron& neuron, std::size_t segment) {
  const std::size_t bits = neuron.steps->timesteps, low_bits = std::min(bits, kBitsOfByte);
  const std::size_t groups = std::exchange(counts.groups[segment], 0);
  std::int64_t* const total = counts.totals[segment].bits.data();
  unpack<Bytes>(counts.low_bits[segment], groups, low_bits, total);
  if (has_high_bits(neuron)) unpack<Bytes>(counts.high_bits[segment], groups, bits - low_bits, total + low_bits);
}

// Counts all rows; those without elements count as silent.
template <class Bytes>
void count_rows(LevelCounts& counts, const Neuron& neuron) {
  for (Row* const rows : {counts.owner, counts.low, counts.high}) {
    std::fill(rows + counts.rows, rows + LevelCounts::kRows, Row{});
  }
  const auto count = [&](auto wide) {
    constexpr bool kWide = decltype(wide)::value;
    if (neuron.bases == 1) return count_group<Bytes, kWide, true>(counts, neuron);
    count_group<Bytes, kWide, false>(counts, neuron);
  };
  if (has_high_bits(neuron)) {
    count(std::true_type());
  } else {
    count(std::false_type());
  }
  counts.rows = 0;
  if (++counts.groups_of_bytes == LevelCounts::kMostGroupsOfBytes) unpack_bytes<Bytes>(counts, neuron);
  for (std::size_t segment = 0; segment < neuron.bases; ++segment) {
    if (counts.groups[segment] == LevelCounts::kMostGroups) unpack_bits<Bytes>(counts, neuron, segment);
  }
}

// Bytes of elements that are about to be counted: their owners, and the lower and upper eight bits of their spike
// words. The order of elements may be any, if it is the same in all three.
struct WaitingBytes {
  std::uint8_t *owner, *low, *high;
};

// Makes room for `count` elements, up to kRows rows; bytes after the last of them are 0.
template <class Bytes>
WaitingBytes wait_for_count(LevelCounts& counts, const Neuron& neuron, std::size_t count) {
  const std::size_t rows = (count + Row::kBytes - 1) / Row::kBytes;
  if (counts.rows + rows > LevelCounts::kRows) count_rows<Bytes>(counts, neuron);
  const std::size_t first = std::exchange(counts.rows, counts.rows + rows);
  if (count % Row::kBytes != 0) {
    for (Row* const waiting : {counts.owner, counts.low, counts.high}) waiting[counts.rows - 1] = {};
  }
  return {bytes_of(counts.owner[first]), bytes_of(counts.low[first]), bytes_of(counts.high[first])};
}

// Moves everything that was counted into the totals.
template <class Bytes>
void unpack_levels(LevelCounts& counts, const Neuron& neuron) {
  if (counts.rows > 0) count_rows<Bytes>(counts, neuron);
  if (counts.groups_of_bytes > 0) unpack_bytes<Bytes>(counts, neuron);
  for (std::size_t segment = 0; segment < neuron.bases; ++segment) {
    if (counts.groups[segment] > 0) unpack_bits<Bytes>(counts, neuron, segment);
  }
}

}  // namespace
}  // namespace onnx_snn

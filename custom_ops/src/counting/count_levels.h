// SPDX-License-Identifier: Apache-2.0
// Counts the levels of neurons on the segmented path: how many elements each segment has, how many of them are
// saturated, and how often each bit of their levels is set.
#pragma once

#include "counting/positional_popcount.h"

namespace onnx_snn {
// Compiled once for each instruction set: the linker must not merge the copies.
namespace {

inline bool has_high_bits(const Neuron& neuron) { return neuron.halving->timesteps > kBitsOfByte; }

// Adds the sum of all lanes to the total, and clears the row.
template <class Bytes>
void drain(Row& row, std::int64_t& total) {
  for (std::size_t column = 0; column < Row::kBytes; column += Bytes::kLanes) {
    total += Bytes::sum(Bytes::load(bytes_of(row) + column));
  }
  row = {};
}

// Counts eight rows of elements in every segment, with the elements of other segments masked out.
template <class Bytes, bool kWide>
void count_group(LevelCounts& counts, const Neuron& neuron) {
  const auto top = static_cast<std::uint32_t>(neuron.halving->top());
  const auto top_low = Bytes::broadcast(static_cast<std::uint8_t>(top));
  const auto top_high = Bytes::broadcast(static_cast<std::uint8_t>(top >> kBitsOfByte));
  for (std::size_t column = 0; column < Row::kBytes; column += Bytes::kLanes) {
    const auto load = [&](Row& row) { return Bytes::load(bytes_of(row) + column); };
    const auto add = [&](Row& row, const auto& v) { Bytes::store(bytes_of(row) + column, Bytes::add(load(row), v)); };

    // What an element adds to the byte of its segment: 1 in the low nibble, and 1 in the high nibble if saturated.
    typename Bytes::Vector mark[LevelCounts::kRows];
    for (std::size_t r = 0; r < LevelCounts::kRows; ++r) {
      auto saturated = Bytes::equal(load(counts.low[r]), top_low);
      if constexpr (kWide) saturated = Bytes::both(saturated, Bytes::equal(load(counts.high[r]), top_high));
      mark[r] = Bytes::add_where(saturated, Bytes::broadcast(1), Bytes::broadcast(16));
    }
    for (std::size_t segment = 0; segment < neuron.bases; ++segment) {
      const auto leaf = Bytes::broadcast(static_cast<std::uint8_t>(neuron.segments->first_leaf() + segment));
      auto marks = Bytes::broadcast(0);
      add_eight<Bytes>(counts.low_bits[segment], column, counts.groups, [&](std::size_t r) {
        const auto own = Bytes::equal(load(counts.owner[r]), leaf);
        marks = Bytes::add_where(own, marks, mark[r]);
        return Bytes::keep(own, load(counts.low[r]));
      });
      if constexpr (kWide) {
        add_eight<Bytes>(counts.high_bits[segment], column, counts.groups, [&](std::size_t r) {
          return Bytes::keep(Bytes::equal(load(counts.owner[r]), leaf), load(counts.high[r]));
        });
      }
      add(counts.elements[segment], Bytes::low_nibbles(marks));
      add(counts.saturated[segment], Bytes::template shift_right<4>(marks));
    }
  }
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
void unpack_bits(LevelCounts& counts, const Neuron& neuron) {
  const std::size_t bits = neuron.halving->timesteps, low_bits = std::min(bits, kBitsOfByte);
  for (std::size_t segment = 0; segment < neuron.bases; ++segment) {
    std::int64_t* const total = counts.totals[segment].bits.data();
    unpack<Bytes>(counts.low_bits[segment], counts.groups, low_bits, total);
    if (!has_high_bits(neuron)) continue;
    unpack<Bytes>(counts.high_bits[segment], counts.groups, bits - low_bits, total + low_bits);
  }
  counts.groups = 0;
}

// Counts all rows; the owners of rows without elements must be 0.
template <class Bytes>
void count_rows(LevelCounts& counts, const Neuron& neuron) {
  if (has_high_bits(neuron)) {
    count_group<Bytes, true>(counts, neuron);
  } else {
    count_group<Bytes, false>(counts, neuron);
  }
  counts.rows = 0;
  if (++counts.groups_of_bytes == LevelCounts::kMostGroupsOfBytes) unpack_bytes<Bytes>(counts, neuron);
  if (++counts.groups == LevelCounts::kMostGroups) unpack_bits<Bytes>(counts, neuron);
}

// Takes the levels of `count` elements and their owners, the leaves of their segments or 0. Both arrays have room for
// whole rows, whose rest is set to 0.
template <class Bytes>
void count_elements(LevelCounts& counts, const Neuron& neuron, std::size_t count, std::int32_t* owner,
                    std::int32_t* level) {
  for (std::size_t first = 0; first < count; first += Row::kBytes) {
    for (std::size_t i = count; i < first + Row::kBytes; ++i) owner[i] = level[i] = 0;
    for (std::size_t column = 0; column < Row::kBytes; column += Bytes::kLanes) {
      const auto store = [&](Row* rows, const auto& v) { Bytes::store(bytes_of(rows[counts.rows]) + column, v); };
      const std::int32_t* const levels = level + first + column;
      store(counts.owner, Bytes::narrow(owner + first + column));
      if (has_high_bits(neuron)) {
        store(counts.low, Bytes::low_bytes(levels));
        store(counts.high, Bytes::high_bytes(levels));
      } else {
        store(counts.low, Bytes::narrow(levels));
      }
    }
    if (++counts.rows == LevelCounts::kRows) count_rows<Bytes>(counts, neuron);
  }
}

// Moves everything that was counted into the totals.
template <class Bytes>
void unpack_levels(LevelCounts& counts, const Neuron& neuron) {
  if (counts.rows > 0) {
    std::fill(counts.owner + counts.rows, std::end(counts.owner), Row{});
    count_rows<Bytes>(counts, neuron);
  }
  if (counts.groups_of_bytes > 0) unpack_bytes<Bytes>(counts, neuron);
  if (counts.groups > 0) unpack_bits<Bytes>(counts, neuron);
}

}  // namespace
}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Counts the levels of segmented neurons: how many elements each segment has, how many of them are saturated, and how
// often each bit of their levels is set.
#pragma once

#include "blocks.h"
#include "carry_save.h"

namespace onnx_snn {
namespace {

inline bool has_high_bits(const Neuron& neuron) { return neuron.halving.timesteps > kBitsOfByte; }

template <class Bytes>
void drain(Row& row, std::int64_t& total) {
  for (std::size_t column = 0; column < Row::kBytes; column += Bytes::kLanes) {
    total += Bytes::sum(Bytes::load(bytes_of(row) + column));
  }
  row = {};
}

// Counts eight rows of elements, of which those of other segments are masked away.
template <class Bytes, bool kWide>
void count_group(LevelCounts& counts, const Neuron& neuron) {
  const auto top = static_cast<std::uint32_t>(neuron.halving.top());
  const auto top_low = Bytes::broadcast(static_cast<std::uint8_t>(top));
  const auto top_high = Bytes::broadcast(static_cast<std::uint8_t>(top >> kBitsOfByte));
  for (std::size_t column = 0; column < Row::kBytes; column += Bytes::kLanes) {
    const auto load = [&](Row& row) { return Bytes::load(bytes_of(row) + column); };
    const auto add = [&](Row& row, const auto& v) { Bytes::store(bytes_of(row) + column, Bytes::add(load(row), v)); };

    // What an element adds to the marks of its segment: 1, and 16 if it is saturated.
    typename Bytes::Vector mark[LevelCounts::kRows];
    for (std::size_t r = 0; r < LevelCounts::kRows; ++r) {
      auto saturated = Bytes::equal(load(counts.low[r]), top_low);
      if constexpr (kWide) saturated = Bytes::both(saturated, Bytes::equal(load(counts.high[r]), top_high));
      mark[r] = Bytes::add_where(saturated, Bytes::broadcast(1), Bytes::broadcast(16));
    }
    for (std::size_t segment = 0; segment < neuron.bases; ++segment) {
      const auto leaf = Bytes::broadcast(static_cast<std::uint8_t>(neuron.segments.first_leaf() + segment));
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
  const std::size_t bits = neuron.halving.timesteps, low_bits = std::min(bits, kBitsOfByte);
  for (std::size_t segment = 0; segment < neuron.bases; ++segment) {
    std::int64_t* const total = counts.totals[segment].bits.data();
    unpack<Bytes>(counts.low_bits[segment], counts.groups, low_bits, total);
    if (has_high_bits(neuron)) unpack<Bytes>(counts.high_bits[segment], counts.groups, bits - low_bits, total + low_bits);
  }
  counts.groups = 0;
}

// Counts the rows that there are, where the owners of the others are 0.
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

// Takes `count` elements of a block: their levels and their owners, both of which are overwritten after the last one.
template <class Bytes>
void count_block(LevelCounts& counts, const Neuron& neuron, std::size_t count, Block<std::int32_t>& owner,
                 Block<std::int32_t>& level) {
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

// See kernels.h.
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

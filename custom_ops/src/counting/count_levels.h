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

// The first of two flags of an element in a byte of its spike word that has no more bits than that.
constexpr std::size_t kFirstFlag = kBitsOfByte - 2;

inline bool has_high_bits(const Neuron& neuron) { return neuron.steps->timesteps > kBitsOfByte; }

// Whether the byte of a spike word with its highest bits has room for the flags.
inline bool has_free_bits(const Neuron& neuron) {
  return neuron.steps->timesteps - (has_high_bits(neuron) ? kBitsOfByte : 0) <= kFirstFlag;
}

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

// How an element is marked, and again if it is saturated.
enum class Marks {
  kNibbles,  // by 1 in the low nibble of a byte and 1 in the high nibble
  kFlags,    // by the second and by the first flag in its spike word, which are counted as its other bits
};

// Counts a group of rows of elements in every segment, with the elements of other segments masked out. Where
// LevelCounts::first_holds_all, nothing is masked out in the first segment.
template <class Bytes, bool kWide, bool kSingle, Marks kMarks>
[[gnu::flatten, gnu::noinline]] void count_group(LevelCounts& counts, const Neuron& neuron) {
  using Vector = typename Bytes::Vector;
  constexpr bool kFlags = kMarks == Marks::kFlags;
  const std::uint32_t top = neuron.steps->full_word();
  const auto top_low = Bytes::broadcast(static_cast<std::uint8_t>(top));
  const auto top_high = Bytes::broadcast(static_cast<std::uint8_t>(top >> kBitsOfByte));
  const auto present = Bytes::broadcast(kFlags ? 2 << kFirstFlag : 1);
  const auto saturation = Bytes::broadcast(kFlags ? 1 << kFirstFlag : 16);
  const std::size_t segments = kSingle ? 1 : owning_segments<Bytes>(counts, neuron);
  const bool first_holds_all = kSingle || LevelCounts::first_holds_all(neuron);
  for (std::size_t column = 0; column < Row::kBytes; column += Bytes::kLanes) {
    const auto load = [&](Row& row) { return Bytes::load(bytes_of(row) + column); };
    const auto add = [&](Row& row, const auto& v) { Bytes::store(bytes_of(row) + column, Bytes::add(load(row), v)); };

    Vector mark[LevelCounts::kRows];
    for (std::size_t r = 0; r < LevelCounts::kRows; ++r) {
      auto saturated = Bytes::equal(load(counts.low[r]), top_low);
      if constexpr (kWide) saturated = Bytes::both(saturated, Bytes::equal(load(counts.high[r]), top_high));
      mark[r] = Bytes::either(present, Bytes::keep(saturated, saturation));
      if constexpr (kFlags) mark[r] = Bytes::either(mark[r], load(kWide ? counts.high[r] : counts.low[r]));
    }
    const auto count_segment = [&](std::size_t segment, auto owned) {
      Vector marks[2] = {Bytes::broadcast(0), Bytes::broadcast(0)};  // of eight rows each, so that nibbles hold them
      add_sixteen<Bytes>(counts.low_bits[segment], column, counts.groups[segment], [&](std::size_t r) {
        if constexpr (!kFlags) marks[r / 8] = Bytes::add(marks[r / 8], owned(r, mark[r]));
        return owned(r, kFlags && !kWide ? mark[r] : load(counts.low[r]));
      });
      if constexpr (kWide) {
        add_sixteen<Bytes>(counts.high_bits[segment], column, counts.groups[segment],
                           [&](std::size_t r) { return owned(r, kFlags ? mark[r] : load(counts.high[r])); });
      }
      if constexpr (kFlags) return;
      for (const Vector& half : marks) {
        add(counts.elements[segment], Bytes::low_nibbles(half));
        add(counts.saturated[segment], Bytes::template shift_right<4>(half));
      }
    };
    if (first_holds_all) count_segment(0, [](std::size_t, const Vector& v) { return v; });
    for (std::size_t segment = first_holds_all; segment < segments; ++segment) {
      const auto owner = Bytes::broadcast(owner_of(neuron, segment));
      count_segment(segment, [&](std::size_t r, const Vector& v) {
        return Bytes::keep(Bytes::equal(load(counts.owner[r]), owner), v);
      });
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
  const std::size_t bits = neuron.steps->timesteps, bytes = has_high_bits(neuron) ? 2 : 1;
  const std::size_t groups = std::exchange(counts.groups[segment], 0);
  LevelCounts::Total& total = counts.totals[segment];
  std::int64_t set[2 * kBitsOfByte] = {};
  unpack<Bytes>(counts.low_bits[segment], groups, set);
  if (bytes == 2) unpack<Bytes>(counts.high_bits[segment], groups, set + kBitsOfByte);
  for (std::size_t bit = 0; bit < bits; ++bit) total.bits[bit] += set[bit];
  if (!has_free_bits(neuron)) return;
  const std::int64_t* const flag = set + (bytes - 1) * kBitsOfByte + kFirstFlag;
  total.saturated += flag[0];
  total.elements += flag[1];
}

// Counts all rows; those without elements count as silent.
template <class Bytes>
void count_rows(LevelCounts& counts, const Neuron& neuron) {
  for (Row* const rows : {counts.owner, counts.low, counts.high}) {
    std::fill(rows + counts.rows, rows + LevelCounts::kRows, Row{});
  }
  const auto count = [&](auto wide, auto marks) {
    constexpr bool kWide = decltype(wide)::value;
    constexpr Marks kMarks = decltype(marks)::value;
    if (neuron.bases == 1) return count_group<Bytes, kWide, true, kMarks>(counts, neuron);
    count_group<Bytes, kWide, false, kMarks>(counts, neuron);
  };
  const auto count_marked = [&](auto wide) {
    if (has_free_bits(neuron)) return count(wide, std::integral_constant<Marks, Marks::kFlags>());
    count(wide, std::integral_constant<Marks, Marks::kNibbles>());
    ++counts.groups_of_bytes;
  };
  if (has_high_bits(neuron)) {
    count_marked(std::true_type());
  } else {
    count_marked(std::false_type());
  }
  counts.rows = 0;
  if (counts.groups_of_bytes == LevelCounts::kMostGroupsOfBytes) unpack_bytes<Bytes>(counts, neuron);
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

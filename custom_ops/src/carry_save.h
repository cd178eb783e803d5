// SPDX-License-Identifier: Apache-2.0
// Counts how often each bit of a stream of bytes is set, all bits of all lanes at once: a full adder takes three bits
// of one weight and leaves their sum and their carry,
//
//     sum = a ^ b ^ c,    carry = majority(a, b, c)
//
// and a tree of seven adds eight bytes to planes of weights 1, 2 and 4, which leaves one carry of weight 8 (a
// positional population count by the method of Harley and Seal).
#pragma once

#include <algorithm>
#include <iterator>

#include "level_counts.h"

namespace onnx_snn {
namespace {

inline std::uint8_t* bytes_of(Row& row) { return reinterpret_cast<std::uint8_t*>(row.words); }

// Adds b and c to the plane and returns the carry.
template <class Bytes>
typename Bytes::Vector full_add(typename Bytes::Vector& plane, typename Bytes::Vector b, typename Bytes::Vector c) {
  const auto a = plane;
  plane = Bytes::parity(a, b, c);
  return Bytes::majority(a, b, c);
}

// Adds value(0) to value(7), which stand at `column` of their rows, when `groups` of eight were added before.
template <class Bytes, class Value>
void add_eight(BitCounts& counts, std::size_t column, std::size_t groups, Value value) {
  const auto at = [&](Row& row) { return bytes_of(row) + column; };
  auto ones = Bytes::load(at(counts.plane[0]));
  auto twos = Bytes::load(at(counts.plane[1]));
  auto fours = Bytes::load(at(counts.plane[2]));
  const auto two = [&](std::size_t r) { return full_add<Bytes>(ones, value(r), value(r + 1)); };
  const auto four = [&](std::size_t r) {
    const auto first = two(r);
    return full_add<Bytes>(twos, first, two(r + 2));
  };
  const auto first = four(0);
  auto carry = full_add<Bytes>(fours, first, four(4));
  Bytes::store(at(counts.plane[0]), ones);
  Bytes::store(at(counts.plane[1]), twos);
  Bytes::store(at(counts.plane[2]), fours);

  // One carry waits at each bit that is set in the number of groups: adding one to it carries in the same way.
  std::size_t level = 0;
  for (; groups >> level & 1; ++level) {
    auto plane = Bytes::load(at(counts.plane[3 + level]));
    carry = full_add<Bytes>(plane, Bytes::load(at(counts.waiting[level])), carry);
    Bytes::store(at(counts.plane[3 + level]), plane);
  }
  Bytes::store(at(counts.waiting[level]), carry);
}

// Adds the carries that wait to the planes, and returns how many planes `groups` take then.
inline std::size_t settle(BitCounts& counts, std::size_t groups) {
  Row carry{};
  std::size_t level = 0;
  for (; groups >> level != 0; ++level) {
    const std::uint64_t waits = groups >> level & 1 ? ~std::uint64_t{0} : 0;
    std::uint64_t* const plane = counts.plane[3 + level].words;
    for (std::size_t i = 0; i < std::size(carry.words); ++i) {
      const std::uint64_t a = plane[i], b = counts.waiting[level].words[i] & waits, c = carry.words[i];
      plane[i] = a ^ b ^ c;
      carry.words[i] = (a & b) | ((a ^ b) & c);
    }
  }
  counts.plane[3 + level] = carry;
  return 3 + level + 1;
}

inline std::int64_t sum_of_bytes(const Row& row) {
  constexpr std::uint64_t kEven = 0x00FF00FF00FF00FF, kPairsOfOne = 0x0001000100010001;
  std::uint64_t sum = 0;
  for (const std::uint64_t word : row.words) sum += (word & kEven) + (word >> 8 & kEven);
  return static_cast<std::int64_t>(sum * kPairsOfOne >> 48);
}

using EightRows = Row[8];

// Exchanges the bits of a row that `kMask`, shifted by the distance, has with those of the row at this distance that
// it has as it is.
template <std::size_t kDistance, std::uint64_t kMask>
void exchange(EightRows& rows) {
  for (std::size_t r = 0; r < std::size(rows); ++r) {
    if (r & kDistance) continue;
    std::uint64_t *const a = rows[r].words, *const b = rows[r + kDistance].words;
    for (std::size_t i = 0; i < std::size(rows[r].words); ++i) {
      const std::uint64_t change = ((a[i] >> kDistance) ^ b[i]) & kMask;
      b[i] ^= change;
      a[i] ^= change << kDistance;
    }
  }
}

// Bit b of each byte of row p becomes bit p of row b: planes become numbers, one row for each bit that was counted.
inline void transpose(EightRows& rows) {
  exchange<4, 0x0F0F0F0F0F0F0F0F>(rows);
  exchange<2, 0x3333333333333333>(rows);
  exchange<1, 0x5555555555555555>(rows);
}

// Adds to total[b] how often bit b was set in `groups`, and starts again from nothing.
inline void unpack(BitCounts& counts, std::size_t groups, std::size_t bits, std::int64_t* total) {
  const std::size_t planes = settle(counts, groups);
  for (std::size_t first = 0; first < planes; first += 8) {
    EightRows rows{};
    const std::size_t size = std::min(planes - first, std::size(rows));
    std::copy_n(counts.plane + first, size, rows);
    std::fill_n(counts.plane + first, size, Row{});
    transpose(rows);
    for (std::size_t bit = 0; bit < bits; ++bit) total[bit] += sum_of_bytes(rows[bit]) << first;
  }
}

}  // namespace
}  // namespace onnx_snn

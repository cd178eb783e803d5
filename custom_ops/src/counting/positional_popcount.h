// SPDX-License-Identifier: Apache-2.0
// Positional population count by the method of Harley and Seal: how often each bit of a stream of bytes is set, all
// bits of all lanes at once. A full adder takes three bits of one weight and leaves their sum and their carry,
//
//     sum = a ^ b ^ c,    carry = majority(a, b, c)
//
// and a tree of fifteen full adders adds sixteen bytes to planes of weights 1, 2, 4 and 8, which leaves one carry of
// weight 16.
#pragma once

#include <algorithm>
#include <iterator>

#include "counting/level_counts.h"

namespace onnx_snn {
// Compiled once for each instruction set: the linker must not merge the copies.
namespace {

constexpr std::size_t kBitsOfByte = 8;

inline std::uint8_t* bytes_of(Row& row) { return reinterpret_cast<std::uint8_t*>(row.words); }

// Adds b and c to the plane and returns the carry.
template <class Bytes>
typename Bytes::Vector full_add(typename Bytes::Vector& plane, typename Bytes::Vector b, typename Bytes::Vector c) {
  const auto a = plane;
  plane = Bytes::parity(a, b, c);
  return Bytes::majority(a, b, c);
}

// Adds value(0) to value(15), the bytes at `column` of sixteen rows, after `groups` of sixteen were added before.
template <class Bytes, class Value>
void add_sixteen(BitCounts& counts, std::size_t column, std::size_t groups, Value value) {
  const auto at = [&](Row& row) { return bytes_of(row) + column; };
  auto ones = Bytes::load(at(counts.plane[0]));
  auto twos = Bytes::load(at(counts.plane[1]));
  auto fours = Bytes::load(at(counts.plane[2]));
  auto eights = Bytes::load(at(counts.plane[3]));
  const auto two = [&](std::size_t r) { return full_add<Bytes>(ones, value(r), value(r + 1)); };
  const auto four = [&](std::size_t r) {
    const auto first = two(r);
    return full_add<Bytes>(twos, first, two(r + 2));
  };
  const auto eight = [&](std::size_t r) {
    const auto first = four(r);
    return full_add<Bytes>(fours, first, four(r + 4));
  };
  const auto first = eight(0);
  auto carry = full_add<Bytes>(eights, first, eight(8));
  Bytes::store(at(counts.plane[0]), ones);
  Bytes::store(at(counts.plane[1]), twos);
  Bytes::store(at(counts.plane[2]), fours);
  Bytes::store(at(counts.plane[3]), eights);

  // A carry waits at each bit that is set in the number of groups, because adding 1 to that number carries likewise.
  std::size_t level = 0;
  for (; groups >> level & 1; ++level) {
    auto plane = Bytes::load(at(counts.plane[BitCounts::kLowPlanes + level]));
    carry = full_add<Bytes>(plane, Bytes::load(at(counts.waiting[level])), carry);
    Bytes::store(at(counts.plane[BitCounts::kLowPlanes + level]), plane);
  }
  Bytes::store(at(counts.waiting[level]), carry);
}

// In all lanes, exchanges the bits of `a` >> kShift with the bits of `b` that are in the mask.
template <class Bytes, int kShift, std::uint8_t kMask>
void exchange(typename Bytes::Vector& a, typename Bytes::Vector& b) {
  const auto change = Bytes::differing(Bytes::template shift_right<kShift>(a), b, Bytes::broadcast(kMask));
  b = Bytes::exclusive_or(b, change);
  a = Bytes::exclusive_or(a, Bytes::template shift_left<kShift>(change));
}

// Transposes 8 x 8 bits in all lanes: bit b of row p becomes bit p of row b. So planes, bit p of all counts, become
// numbers, the count of bit b.
template <class Bytes>
void transpose(typename Bytes::Vector (&rows)[8]) {
  for (std::size_t r : {0, 1, 2, 3}) exchange<Bytes, 4, 0x0F>(rows[r], rows[r + 4]);
  for (std::size_t r : {0, 1, 4, 5}) exchange<Bytes, 2, 0x33>(rows[r], rows[r + 2]);
  for (std::size_t r : {0, 2, 4, 6}) exchange<Bytes, 1, 0x55>(rows[r], rows[r + 1]);
}

// Writes one column of the planes of `groups`, waiting carries added, clears it, and returns how many planes may be
// other than 0.
template <class Bytes>
std::size_t settle(BitCounts& counts, std::size_t column, std::size_t groups,
                   typename Bytes::Vector (&planes)[BitCounts::kPlanes]) {
  const auto take = [&](Row& row) {
    const auto v = Bytes::load(bytes_of(row) + column);
    Bytes::store(bytes_of(row) + column, Bytes::broadcast(0));
    return v;
  };
  std::size_t plane = 0;
  for (; plane < BitCounts::kLowPlanes; ++plane) planes[plane] = take(counts.plane[plane]);
  auto carry = Bytes::broadcast(0);
  for (std::size_t level = 0; groups >> level != 0; ++level, ++plane) {
    const bool waits = groups >> level & 1;
    planes[plane] = take(counts.plane[plane]);
    carry = full_add<Bytes>(planes[plane], waits ? take(counts.waiting[level]) : Bytes::broadcast(0), carry);
  }
  planes[plane] = carry;
  return plane + 1;
}

// Adds to total[b] how often bit b of all bytes was set in `groups`, and clears the counts.
template <class Bytes>
void unpack(BitCounts& counts, std::size_t groups, std::int64_t* total) {
  for (std::size_t column = 0; column < Row::kBytes; column += Bytes::kLanes) {
    typename Bytes::Vector planes[BitCounts::kPlanes];
    const std::size_t used = settle<Bytes>(counts, column, groups, planes);
    for (std::size_t first = 0; first < used; first += kBitsOfByte) {
      typename Bytes::Vector rows[kBitsOfByte];
      for (std::size_t r = 0; r < kBitsOfByte; ++r) {
        rows[r] = first + r < used ? planes[first + r] : Bytes::broadcast(0);
      }
      transpose<Bytes>(rows);
      for (std::size_t bit = 0; bit < kBitsOfByte; ++bit) total[bit] += Bytes::sum(rows[bit]) << first;
    }
  }
}

}  // namespace
}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Reductions along rows, and blocks of rows. A reduction runs in several lanes at once, in the same order on every
// instruction set.
#pragma once

#include <cstddef>

namespace onnx_snn {
// Compiled once for each instruction set: the linker must not merge the copies.
namespace {

constexpr std::size_t kReductionLanes = 16;

// result = combine over i of value(i), starting from `initial`; combine is associative.
template <class T, class Value, class Combine>
T reduce(std::size_t count, T initial, Value value, Combine combine) {
  T lanes[kReductionLanes];
  for (T& lane : lanes) lane = initial;
  std::size_t i = 0;
  for (; i + kReductionLanes <= count; i += kReductionLanes) {
    for (std::size_t l = 0; l < kReductionLanes; ++l) lanes[l] = combine(lanes[l], value(i + l));
  }
  for (std::size_t l = 0; i < count; ++i, ++l) lanes[l] = combine(lanes[l], value(i));
  for (std::size_t half = kReductionLanes / 2; half > 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) lanes[l] = combine(lanes[l], lanes[l + half]);
  }
  return lanes[0];
}

// Sum in float64.
template <class Value>
double sum(std::size_t count, Value value) {
  return reduce(
      count, 0.0, [&](std::size_t i) { return static_cast<double>(value(i)); },
      [](double a, double b) { return a + b; });
}

// A block of rows stays in the first-level cache: at most kMostRows rows of at most kRowElements elements together, or
// one longer row.
constexpr std::size_t kMostRows = 64;
constexpr std::size_t kRowElements = 2048;

inline std::size_t rows_of_block(std::size_t length) {
  const std::size_t most = length ? kRowElements / length : kMostRows;
  return most < 1 ? 1 : most > kMostRows ? kMostRows : most;
}

// Calls visit(first, count) for the blocks of `rows` rows.
template <class Visit>
void each_rows(std::size_t rows, std::size_t length, Visit visit) {
  const std::size_t most = rows_of_block(length);
  for (std::size_t first = 0; first < rows; first += most) {
    visit(first, rows - first < most ? rows - first : most);
  }
}

}  // namespace
}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
#include "neuron/segments.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <vector>

#include "neuron/dyadic.h"
#include "neuron/neuron.h"

namespace onnx_snn {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// The inputs over which the level of one basis changes.
struct Ramp {
  std::size_t basis;
  bool rising;
  double first;     // input of the lowest level change
  double last;      // input of the highest level change
  double rounding;  // bound on how far float32 arithmetic may move either
  double start;     // between the last ramp and this one: here the segment of this basis begins
};

Ramp ramp_of(const Neuron& neuron, std::size_t basis) {
  const double u_rest = neuron.u_rest[basis];
  const double level = 1.0 / std::abs(static_cast<double>(neuron.level_gain[basis]));
  const double lowest = neuron.steps->smallest * level, highest = neuron.steps->total * level;
  const bool rising = neuron.gain[basis] > 0;
  const double first = rising ? u_rest + lowest : u_rest - highest;
  const double last = rising ? u_rest + highest : u_rest - lowest;
  // Half a unit in the last place of the stored start and of x, and of the difference and product over the ramp.
  const double rounding = std::ldexp(std::max(std::abs(first), std::abs(last)), -23) + std::ldexp(highest, -22);
  return {basis, rising, first, last, rounding, 0};
}

// The ramps of all bases in ascending order of x, if each ends before the segment of the next one begins, also after
// float32 rounding. Empty otherwise.
std::vector<Ramp> disjoint_ramps(const Neuron& neuron) {
  std::vector<Ramp> ramps;
  for (std::size_t basis = 0; basis < neuron.bases; ++basis) ramps.push_back(ramp_of(neuron, basis));
  std::sort(ramps.begin(), ramps.end(), [](const Ramp& a, const Ramp& b) { return a.first < b.first; });
  for (std::size_t i = 1; i < ramps.size(); ++i) {
    ramps[i].start = (ramps[i - 1].last + ramps[i].first) / 2;
    const double rounding = std::max(ramps[i - 1].rounding, ramps[i].rounding);
    if (!(ramps[i].first - ramps[i].start > rounding)) return {};
  }
  return ramps;
}

// Writes the balanced search tree, in heap order, over the starts of all segments but the first.
void write_search_tree(const std::vector<Ramp>& ramps, Segments& segments) {
  std::fill(std::begin(segments.split), std::end(segments.split), kNaN);
  for (std::size_t level = 0; level < segments.depth; ++level) {
    const std::size_t nodes = std::size_t{1} << level, leaves = std::size_t{1} << (segments.depth - level);
    for (std::size_t node = 0; node < nodes; ++node) {
      const std::size_t right = node * leaves + leaves / 2;
      if (right < ramps.size()) segments.split[nodes + node] = static_cast<float>(ramps[right].start);
    }
  }
}

// The bias and the sum of the bases that are saturated in segment i: those of rising ramps before it and of falling
// ramps after it.
double saturated_sum(const Neuron& neuron, const std::vector<Ramp>& ramps, std::size_t i) {
  double sum = neuron.bias + 0.0;
  for (std::size_t other = 0; other < ramps.size(); ++other) {
    const bool saturated = ramps[other].rising ? other < i : other > i;
    if (saturated) sum += neuron.level_weight[ramps[other].basis] * neuron.steps->top();
  }
  return sum;
}

// Whether the sum of a neuron with steps is exact in float64, in any order.
bool sums_are_exact(const Neuron& neuron) {
  double unit = unit_of(neuron.bias), most = std::abs(neuron.bias);
  for (const double weight : neuron.level_weight) {
    unit = std::min(unit, unit_of(weight));
    most += std::abs(weight) * neuron.steps->top();
  }
  return most <= unit * 0x1p+53;
}

// Whether the kernels compute base + k * weight exactly as pairs of float32 numbers: where every number is a multiple
// of one unit and none is above 2**46 units, the rounding errors of product and sum are below 2**22 units each and add
// exactly.
bool pairs_are_exact(const std::vector<double>& weights, const std::vector<double>& sums, double top) {
  double unit = std::numeric_limits<double>::infinity(), most = 0;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    unit = std::min({unit, unit_of(weights[i]), unit_of(sums[i])});
    most = std::max(most, std::abs(sums[i]) + std::abs(weights[i]) * top);
  }
  constexpr double kSmallest = 0x1p-149, kLargest = 0x1p+120;
  return most <= unit * 0x1p+46 && unit >= kSmallest && most <= kLargest;
}

// Whether float32 gives the level of a basis: gains are shifts of the neuron's.
bool gains_are_exact(const Neuron& neuron) {
  for (std::size_t n = 0; n < neuron.bases; ++n) {
    if (!std::isfinite(neuron.level_gain[n])) return false;
    if (std::ldexp(neuron.level_gain[n], neuron.steps->unit_exponent) != neuron.gain[n]) return false;
  }
  return true;
}

// Levels that are moved from `base` into the offset of a segment with this weight, so that float32 holds the rest.
double offset_of(double base, double weight) { return is_float32(base) || weight == 0 ? 0 : std::round(base / weight); }

}  // namespace

std::optional<Segments> segments_of(const Neuron& neuron) {
  if (!neuron.halving() || neuron.bases > kMaxSegments) return std::nullopt;
  const std::vector<Ramp> ramps = disjoint_ramps(neuron);
  if (ramps.empty()) return std::nullopt;

  std::vector<double> weights, sums;
  for (std::size_t i = 0; i < ramps.size(); ++i) {
    weights.push_back(neuron.level_weight[ramps[i].basis]);
    sums.push_back(saturated_sum(neuron, ramps, i));
  }
  if (!pairs_are_exact(weights, sums, neuron.steps->top())) return std::nullopt;

  Segments segments;
  segments.narrow = true;
  for (std::size_t i = 0; i < kMaxSegments; ++i) {
    const std::size_t segment = std::min(i, ramps.size() - 1);
    const std::size_t basis = ramps[segment].basis;
    const float base = static_cast<float>(sums[segment]);
    segments.basis[i] = basis;
    segments.segment[i] = {neuron.u_rest[basis], neuron.level_gain[basis], static_cast<float>(weights[segment]), base};
    segments.base_rest[i] = static_cast<float>(sums[segment] - base);
    segments.narrow = segments.narrow && segments.base_rest[i] == 0;
  }
  // The shallowest tree of the kernels has 8 segments, as many as one AVX2 register holds.
  segments.depth = 3;
  while ((std::size_t{1} << segments.depth) < ramps.size()) ++segments.depth;
  write_search_tree(ramps, segments);
  return segments;
}

std::optional<FewSegments> few_segments_of(const Neuron& neuron) {
  if (!neuron.steps || neuron.bases > kFewSegments) return std::nullopt;
  if (!sums_are_exact(neuron) || !gains_are_exact(neuron)) return std::nullopt;
  const std::vector<Ramp> ramps = disjoint_ramps(neuron);
  if (ramps.empty()) return std::nullopt;

  FewSegments segments{};
  for (std::size_t i = 0; i < kFewSegments; ++i) {
    const std::size_t segment = std::min(i, ramps.size() - 1), basis = ramps[segment].basis;
    const double sum = saturated_sum(neuron, ramps, segment), weight = neuron.level_weight[basis];
    const double offset = offset_of(sum, weight), base = sum - offset * weight;
    if (!is_float32(weight) || !is_float32(base)) return std::nullopt;
    if (std::abs(offset) + neuron.steps->total >= 0x1p+24) return std::nullopt;
    segments.split[i] = i + 1 < ramps.size() ? static_cast<float>(ramps[i + 1].start) : kNaN;
    segments.u_rest[i] = neuron.u_rest[basis];
    segments.gain[i] = neuron.level_gain[basis];
    segments.weight[i] = static_cast<float>(weight);
    segments.base[i] = static_cast<float>(base + 0.0);
    segments.offset[i] = static_cast<float>(offset);
    segments.shifted = segments.shifted || offset != 0;
    segments.basis[i] = basis;
  }
  return segments;
}

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
#include "neuron.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <numeric>

namespace onnx_snn {
namespace {

// Whether row t of a kernel holds `value` for every basis.
bool row_is(const float* kernel, std::size_t t, std::size_t bases, double value) {
  const float* row = kernel + t * bases;
  return std::all_of(row, row + bases, [value](float entry) { return entry == static_cast<float>(value); });
}

bool gate_leads(const NeuronTensors& tensors, std::size_t timesteps) {
  const double saturation = 2.0 - std::ldexp(2.0, -static_cast<int>(timesteps));
  return row_is(tensors.threshold, 0, tensors.bases, saturation) &&
         row_is(tensors.reset, 0, tensors.bases, std::numeric_limits<double>::infinity()) &&
         row_is(tensors.intensity, 0, tensors.bases, saturation);
}

Halving halving_of(const NeuronTensors& tensors) {
  for (const bool gate : {false, true}) {
    const std::size_t timesteps = tensors.timesteps - gate;
    if (timesteps < 1 || timesteps > kMaxHalvingTimesteps) continue;
    bool halves = !gate || gate_leads(tensors, timesteps);
    for (std::size_t t = 0; t < timesteps && halves; ++t) {
      const double decay = std::ldexp(1.0, -static_cast<int>(t));
      for (const float* kernel : {tensors.threshold, tensors.reset, tensors.intensity}) {
        halves = halves && row_is(kernel, t + gate, tensors.bases, decay);
      }
    }
    if (halves) return {timesteps, gate};
  }
  return {};
}

// The inputs over which the level of one basis changes.
struct Ramp {
  std::size_t basis;
  bool rising;
  double first;     // input of the lowest level change
  double last;      // input of the highest level change
  double start;     // half a level before `first`: from here on the segment is this basis's
  double rounding;  // bound on how far float32 arithmetic may move any of these
};

Ramp ramp_of(const Neuron& neuron, std::size_t basis) {
  const double u_rest = neuron.u_rest[basis];
  const double level = 1.0 / std::abs(static_cast<double>(neuron.level_gain[basis]));
  const double top = neuron.halving.top();
  const bool rising = neuron.gain[basis] > 0;
  const double first = rising ? u_rest + level : u_rest - top * level;
  const double last = rising ? u_rest + top * level : u_rest - level;
  const double start = first - level / 2;
  // Half a unit in the last place of the stored start and of x, and of the difference and product over the ramp.
  const double rounding = std::ldexp(std::abs(start), -24) + std::ldexp((top + 1) * level, -22);
  return {basis, rising, first, last, start, rounding};
}

bool disjoint(const std::vector<Ramp>& ramps) {
  for (std::size_t i = 1; i < ramps.size(); ++i) {
    const double gap = ramps[i].start - ramps[i - 1].last;
    if (!(gap > ramps[i].rounding + ramps[i - 1].rounding)) return false;
    if (!(ramps[i].first - ramps[i].start > ramps[i].rounding)) return false;
  }
  return true;
}

// Splits of a balanced search tree over the starts of all segments but the first, in heap order.
void plant_splits(const std::vector<Ramp>& ramps, Segments& segments) {
  std::fill(std::begin(segments.split), std::end(segments.split), std::numeric_limits<float>::quiet_NaN());
  for (std::size_t level = 0; level < segments.depth; ++level) {
    const std::size_t nodes = std::size_t{1} << level, leaves = std::size_t{1} << (segments.depth - level);
    for (std::size_t node = 0; node < nodes; ++node) {
      const std::size_t right = node * leaves + leaves / 2;
      if (right < ramps.size()) segments.split[nodes + node] = static_cast<float>(ramps[right].start);
    }
  }
}

// Bias and the saturated bases of segment i: rising ramps before it, falling ones after it.
double saturated_sum(const Neuron& neuron, const std::vector<Ramp>& ramps, std::size_t i) {
  double sum = neuron.bias + 0.0;
  for (std::size_t other = 0; other < ramps.size(); ++other) {
    const bool saturated = ramps[other].rising ? other < i : other > i;
    if (saturated) sum += neuron.level_weight[ramps[other].basis] * neuron.halving.top();
  }
  return sum;
}

// The largest power of two that divides `value`; infinity for 0.
double unit_of(double value) {
  if (value == 0) return std::numeric_limits<double>::infinity();
  int exponent;
  const auto integer = static_cast<std::int64_t>(std::ldexp(std::frexp(value, &exponent), 53));
  return std::ldexp(static_cast<double>(integer & -integer), exponent - 53);
}

// Whether float32 arithmetic on pairs, as the kernels read a segment out, is exact: with every number a multiple of a
// unit and none above 2**46 of them, the rounding errors of product and sum are below 2**22 units each and add exactly.
bool pairs_are_exact(const std::vector<double>& weights, const std::vector<double>& sums, double top) {
  double unit = std::numeric_limits<double>::infinity(), most = 0;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    unit = std::min({unit, unit_of(weights[i]), unit_of(sums[i])});
    most = std::max(most, std::abs(sums[i]) + std::abs(weights[i]) * top);
  }
  constexpr double kSmallest = 0x1p-149, kLargest = 0x1p+120;
  return most <= unit * 0x1p+46 && unit >= kSmallest && most <= kLargest;
}

// Whether every sum of intensities is exact in float32, and bias + weight * o in float64: then the one rounding of a
// fused multiply-add in float32 is that of the exact sum.
bool fuses(const Neuron& neuron) {
  if (neuron.bases > 1 || neuron.timesteps > kMaxFusedTimesteps) return false;
  double unit = std::numeric_limits<double>::infinity(), most = 0;
  for (const float intensity : neuron.intensity) {
    unit = std::min(unit, unit_of(intensity));
    most += std::abs(static_cast<double>(intensity));
  }
  if (!(most <= unit * 0x1p+24)) return false;
  const double sum_unit = std::min(unit * unit_of(neuron.weight[0]), unit_of(neuron.bias));
  return most * std::abs(neuron.weight[0]) + std::abs(neuron.bias) <= sum_unit * 0x1p+53;
}

Segments segments_of(const Neuron& neuron) {
  Segments segments;
  if (neuron.halving.timesteps == 0 || neuron.bases > kMaxSegments) return segments;
  std::vector<Ramp> ramps;
  for (std::size_t basis = 0; basis < neuron.bases; ++basis) ramps.push_back(ramp_of(neuron, basis));
  std::sort(ramps.begin(), ramps.end(), [](const Ramp& a, const Ramp& b) { return a.first < b.first; });
  if (!disjoint(ramps)) return segments;

  std::vector<double> weights, sums;
  for (std::size_t i = 0; i < ramps.size(); ++i) {
    weights.push_back(neuron.level_weight[ramps[i].basis]);
    sums.push_back(saturated_sum(neuron, ramps, i));
  }
  if (!pairs_are_exact(weights, sums, neuron.halving.top())) return segments;

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
  // The shallowest tree that the kernels have is of 8 segments: one AVX2 register.
  segments.depth = 3;
  while ((std::size_t{1} << segments.depth) < ramps.size()) ++segments.depth;
  plant_splits(ramps, segments);
  return segments;
}

}  // namespace

Neuron::Neuron(const NeuronTensors& tensors)
    : bases(tensors.bases),
      timesteps(tensors.timesteps),
      odd(tensors.odd),
      bias(tensors.bias),
      u_rest(tensors.u_rest, tensors.u_rest + bases),
      gain(tensors.gain, tensors.gain + bases),
      threshold(tensors.threshold, tensors.threshold + timesteps * bases),
      reset(tensors.reset, tensors.reset + timesteps * bases),
      intensity(tensors.intensity, tensors.intensity + timesteps * bases),
      weight(tensors.weight, tensors.weight + bases),
      halving(halving_of(tensors)) {
  const int shift = static_cast<int>(halving.timesteps) - 1;
  for (std::size_t basis = 0; basis < bases && halving.timesteps; ++basis) {
    level_gain.push_back(std::ldexp(gain[basis], shift));
    level_weight.push_back(std::ldexp(weight[basis], -shift));
  }
  segments = segments_of(*this);
  fused = segments.depth == 0 && fuses(*this);
}

}  // namespace onnx_snn

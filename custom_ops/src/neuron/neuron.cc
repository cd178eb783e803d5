// SPDX-License-Identifier: Apache-2.0
#include "neuron/neuron.h"

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

// Whether row 0 of the kernels is that of a saturation spike: the intensity of the highest level, and no second spike.
bool saturation_spike_leads(const NeuronTensors& tensors, std::size_t timesteps) {
  const double saturation = 2.0 - std::ldexp(2.0, -static_cast<int>(timesteps));
  return row_is(tensors.threshold, 0, tensors.bases, saturation) &&
         row_is(tensors.reset, 0, tensors.bases, std::numeric_limits<double>::infinity()) &&
         row_is(tensors.intensity, 0, tensors.bases, saturation);
}

// The kernels as halving ones, if they are.
std::optional<Halving> halving_of(const NeuronTensors& tensors) {
  for (const bool saturation_spike : {false, true}) {
    const std::size_t timesteps = tensors.timesteps - saturation_spike;
    if (timesteps < 1 || timesteps > kMaxHalvingTimesteps) continue;
    bool halves = !saturation_spike || saturation_spike_leads(tensors, timesteps);
    for (std::size_t t = 0; t < timesteps && halves; ++t) {
      const double decay = std::ldexp(1.0, -static_cast<int>(t));
      for (const float* kernel : {tensors.threshold, tensors.reset, tensors.intensity}) {
        halves = halves && row_is(kernel, t + saturation_spike, tensors.bases, decay);
      }
    }
    if (halves) return Halving{timesteps, saturation_spike};
  }
  return std::nullopt;
}

// The inputs over which the level of one basis changes.
struct Ramp {
  std::size_t basis;
  bool rising;
  double first;     // input of the lowest level change
  double last;      // input of the highest level change
  double start;     // half a level before `first`: here the segment of this basis begins
  double rounding;  // bound on how far float32 arithmetic may move any of these
};

Ramp ramp_of(const Neuron& neuron, std::size_t basis) {
  const double u_rest = neuron.u_rest[basis];
  const double level = 1.0 / std::abs(static_cast<double>(neuron.level_gain[basis]));
  const double top = neuron.halving->top();
  const bool rising = neuron.gain[basis] > 0;
  const double first = rising ? u_rest + level : u_rest - top * level;
  const double last = rising ? u_rest + top * level : u_rest - level;
  const double start = first - level / 2;
  // Half a unit in the last place of the stored start and of x, and of the difference and product over the ramp.
  const double rounding = std::ldexp(std::abs(start), -24) + std::ldexp((top + 1) * level, -22);
  return {basis, rising, first, last, start, rounding};
}

// Whether each ramp ends before the segment of the next one begins, also after float32 rounding.
bool disjoint(const std::vector<Ramp>& ramps) {
  for (std::size_t i = 1; i < ramps.size(); ++i) {
    const double gap = ramps[i].start - ramps[i - 1].last;
    if (!(gap > ramps[i].rounding + ramps[i - 1].rounding)) return false;
    if (!(ramps[i].first - ramps[i].start > ramps[i].rounding)) return false;
  }
  return true;
}

// Writes the balanced search tree, in heap order, over the starts of all segments but the first.
void write_search_tree(const std::vector<Ramp>& ramps, Segments& segments) {
  std::fill(std::begin(segments.split), std::end(segments.split), std::numeric_limits<float>::quiet_NaN());
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
    if (saturated) sum += neuron.level_weight[ramps[other].basis] * neuron.halving->top();
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

// Whether the single-basis path gives the right bits: every sum of intensities is exact in float32 and bias + weight *
// o is exact in float64, so that a fused multiply-add in float32 rounds the exact sum once.
bool fits_single_basis_path(const Neuron& neuron) {
  if (neuron.bases > 1 || neuron.timesteps > kMaxSingleBasisTimesteps) return false;
  double unit = std::numeric_limits<double>::infinity(), most = 0;
  for (const float intensity : neuron.intensity) {
    unit = std::min(unit, unit_of(intensity));
    most += std::abs(static_cast<double>(intensity));
  }
  if (!(most <= unit * 0x1p+24)) return false;
  const double sum_unit = std::min(unit * unit_of(neuron.weight[0]), unit_of(neuron.bias));
  return most * std::abs(neuron.weight[0]) + std::abs(neuron.bias) <= sum_unit * 0x1p+53;
}

// The ramps of all bases in ascending order of x.
std::vector<Ramp> sorted_ramps(const Neuron& neuron) {
  std::vector<Ramp> ramps;
  for (std::size_t basis = 0; basis < neuron.bases; ++basis) ramps.push_back(ramp_of(neuron, basis));
  std::sort(ramps.begin(), ramps.end(), [](const Ramp& a, const Ramp& b) { return a.first < b.first; });
  return ramps;
}

// The segments of a halving neuron, if its ramps are disjoint and its sums exact.
std::optional<Segments> segments_of(const Neuron& neuron) {
  if (!neuron.halving || neuron.bases > kMaxSegments) return std::nullopt;
  const std::vector<Ramp> ramps = sorted_ramps(neuron);
  if (!disjoint(ramps)) return std::nullopt;

  std::vector<double> weights, sums;
  for (std::size_t i = 0; i < ramps.size(); ++i) {
    weights.push_back(neuron.level_weight[ramps[i].basis]);
    sums.push_back(saturated_sum(neuron, ramps, i));
  }
  if (!pairs_are_exact(weights, sums, neuron.halving->top())) return std::nullopt;

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

Path path_of(const Neuron& neuron) {
  if (neuron.segments) return Path::kSegmented;
  return fits_single_basis_path(neuron) ? Path::kSingleBasis : Path::kGeneric;
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
  if (halving) {
    const int shift = static_cast<int>(halving->timesteps) - 1;
    for (std::size_t n = 0; n < bases; ++n) {
      level_gain.push_back(std::ldexp(gain[n], shift));
      level_weight.push_back(std::ldexp(weight[n], -shift));
    }
  }
  segments = segments_of(*this);
  path = path_of(*this);
}

}  // namespace onnx_snn

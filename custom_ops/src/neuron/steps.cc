// SPDX-License-Identifier: Apache-2.0
#include "neuron/steps.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "neuron/dyadic.h"

namespace onnx_snn {
namespace {

constexpr int kLargestExponent = 100;
constexpr double kMostUnits = 0x1p+24 - 1;

// Whether row t of a kernel holds `value` for every basis.
bool row_is(const float* kernel, std::size_t t, std::size_t bases, double value) {
  const float* row = kernel + t * bases;
  return std::all_of(row, row + bases, [value](float entry) { return entry == static_cast<float>(value); });
}

// Whether row t of the kernels holds one spike size for every basis, with this reset.
bool fires(const NeuronTensors& tensors, std::size_t t, double size, double reset) {
  return row_is(tensors.threshold, t, tensors.bases, size) && row_is(tensors.reset, t, tensors.bases, reset) &&
         row_is(tensors.intensity, t, tensors.bases, size);
}

// Whether row 0 of the kernels is that of a saturation spike: the intensity of the highest level, and no second spike.
bool saturation_spike_leads(const NeuronTensors& tensors, double saturation) {
  return fires(tensors, 0, saturation, std::numeric_limits<double>::infinity());
}

// The steps in the rows from `first` on.
std::optional<Steps> steps_from(const NeuronTensors& tensors, std::size_t first) {
  Steps steps{};
  steps.timesteps = tensors.timesteps - first;
  steps.saturation_spike = first != 0;
  const auto size_at = [&](std::size_t t) {
    return static_cast<double>(tensors.threshold[(t + first) * tensors.bases]);
  };
  double unit = std::numeric_limits<double>::infinity(), sum = 0;
  for (std::size_t t = 0; t < steps.timesteps; ++t) {
    if (!(size_at(t) > 0) || !fires(tensors, t + first, size_at(t), size_at(t))) return std::nullopt;
    unit = std::min(unit, unit_of(size_at(t)));
    sum += size_at(t);
  }
  steps.unit_exponent = std::ilogb(unit);
  if (std::abs(steps.unit_exponent) > kLargestExponent || !(sum <= kMostUnits * unit)) return std::nullopt;
  if (steps.saturation_spike && !saturation_spike_leads(tensors, sum)) return std::nullopt;
  steps.halving = true;
  steps.smallest = std::numeric_limits<std::uint32_t>::max();
  for (std::size_t t = 0; t < steps.timesteps; ++t) {
    steps.size[t] = static_cast<std::uint32_t>(size_at(t) / unit);
    steps.marked_size[t] = (steps.size[t] << kMarkBits) - (1u << (steps.timesteps - 1 - t) % kMarkBits);
    steps.total += steps.size[t];
    steps.smallest = std::min(steps.smallest, steps.size[t]);
    steps.halving = steps.halving && size_at(t) == std::ldexp(1.0, -static_cast<int>(t));
  }
  return steps;
}

}  // namespace

std::optional<Steps> steps_of(const NeuronTensors& tensors) {
  for (const std::size_t first : {0, 1}) {
    if (tensors.timesteps <= first || tensors.timesteps - first > kMaxSteps) continue;
    if (const auto steps = steps_from(tensors, first)) return steps;
  }
  return std::nullopt;
}

}  // namespace onnx_snn

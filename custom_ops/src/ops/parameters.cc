// SPDX-License-Identifier: Apache-2.0
#include "ops/parameters.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>

namespace onnx_snn {
namespace {

// The inputs of a neuron, in order.
enum Input : std::size_t { kURest, kGain, kThreshold, kReset, kIntensity, kWeight, kBias };

std::string text(float value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.9g", static_cast<double>(value));
  return digits;
}

bool is_finite(float value) { return std::isfinite(value); }
bool is_reset(float value) { return std::isfinite(value) || value == std::numeric_limits<float>::infinity(); }
bool is_gain(float value) { return std::fabs(value) > 0 && std::fabs(value) <= kMaxGain; }
bool is_scale(float value) { return value > 0 && std::isfinite(value); }
bool is_epsilon(float value) { return value >= 0 && std::isfinite(value); }

// How scales rescale; all are positive and finite.
Rescaling rescaling_of(const float* scales, std::size_t count) {
  Rescaling rescaling = Rescaling::kNone;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, scales + i, sizeof bits);
    const std::uint32_t exponent = bits >> 23;
    const bool shifts = (bits & 0x7FFFFF) == 0 && exponent >= 1 && exponent <= 253;
    if (!shifts) return Rescaling::kDivide;
    if (scales[i] != 1.0f) rescaling = Rescaling::kShift;
  }
  return rescaling;
}

void require_values(const Node& node, std::size_t input, const Tensor& tensor, bool (*allowed)(float),
                    const char* expected) {
  for (std::size_t i = 0; i < tensor.elements; ++i) {
    const float value = tensor.values[i];
    if (!allowed(value)) node.refuse(input, "holds " + text(value) + "; expected " + expected);
  }
}

void require_size(const Node& node, std::size_t input, std::size_t size, std::size_t most, const char* what) {
  if (size >= 1 && size <= most) return;
  node.refuse(input, "has " + std::to_string(size) + " " + what + "; expected 1 to " + std::to_string(most));
}

void require_shape(const Node& node, std::size_t input, const Shape& shape, const Shape& expected) {
  bool same = shape.rank == expected.rank;
  for (std::size_t axis = 0; same && axis < shape.rank; ++axis) same = shape.sides[axis] == expected.sides[axis];
  if (!same) node.refuse(input, "has shape " + text(shape) + "; expected " + text(expected));
}

void require_rank(const Node& node, std::size_t input, const Shape& shape, std::size_t rank, const char* expected) {
  if (shape.rank != rank) node.refuse(input, "has shape " + text(shape) + "; expected " + expected);
}

void require_shapes(const Node& node, std::size_t first, const Tensor* inputs) {
  const Shape& u_rest = inputs[kURest].shape;
  const Shape& threshold = inputs[kThreshold].shape;
  require_rank(node, first + kURest, u_rest, 1, "[N]");
  require_size(node, first + kURest, u_rest.sides[0], kMaxBases, "bases");
  require_rank(node, first + kThreshold, threshold, 2, "[S,N]");
  require_size(node, first + kThreshold, threshold.sides[0], kMaxTimesteps, "time steps");

  const Shape per_slot{2, {threshold.sides[0], u_rest.sides[0]}};
  for (const auto input : {kGain, kWeight}) require_shape(node, first + input, inputs[input].shape, u_rest);
  for (const auto input : {kThreshold, kReset, kIntensity}) {
    require_shape(node, first + input, inputs[input].shape, per_slot);
  }
  require_size(node, first + kThreshold, per_slot.elements(), kMaxSlots, "elements");

  const Tensor& bias = inputs[kBias];
  if (bias.shape.rank > 1 || bias.elements != 1) {
    node.refuse(first + kBias, "has shape " + text(bias.shape) + "; expected [] or [1]");
  }
}

}  // namespace

Neuron NeuronReader::operator()(const Node& node, std::size_t first, const Tensor* inputs) const {
  require_shapes(node, first, inputs);
  for (const auto input : {kURest, kThreshold, kIntensity, kWeight, kBias}) {
    require_values(node, first + input, inputs[input], is_finite, "finite values");
  }
  require_values(node, first + kReset, inputs[kReset], is_reset, "finite values or +inf");
  require_values(node, first + kGain, inputs[kGain], is_gain, "magnitudes above 0 and up to 2**111");

  NeuronTensors tensors{};
  tensors.bases = inputs[kThreshold].shape.sides[1];
  tensors.timesteps = inputs[kThreshold].shape.sides[0];
  tensors.u_rest = inputs[kURest].values;
  tensors.gain = inputs[kGain].values;
  tensors.threshold = inputs[kThreshold].values;
  tensors.reset = inputs[kReset].values;
  tensors.intensity = inputs[kIntensity].values;
  tensors.weight = inputs[kWeight].values;
  tensors.bias = *inputs[kBias].values;
  tensors.odd = odd;
  return Neuron(tensors);
}

Scales ScaleReader::operator()(const Node& node, std::size_t first, const Tensor* inputs) const {
  require_values(node, first, *inputs, is_scale, "positive finite values");
  return {*inputs, rescaling_of(inputs->values, inputs->elements)};
}

Range RangeReader::operator()(const Node& node, std::size_t first, const Tensor* inputs) const {
  require_shape(node, first, inputs->shape, {1, {2}});
  const Range range{inputs->values[0], inputs->values[1]};
  if (!(range.lowest <= range.highest)) {
    node.refuse(first,
                "holds " + text(range.lowest) + " and " + text(range.highest) + "; expected the lower one first");
  }
  return range;
}

float EpsilonReader::operator()(const Node& node, std::size_t first, const Tensor* inputs) const {
  if (inputs->shape.rank > 1 || inputs->elements != 1) {
    node.refuse(first, "has shape " + text(inputs->shape) + "; expected [] or [1]");
  }
  require_values(node, first, *inputs, is_epsilon, "a finite number, not negative");
  return *inputs->values;
}

}  // namespace onnx_snn

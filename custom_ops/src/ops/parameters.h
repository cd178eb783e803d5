// SPDX-License-Identifier: Apache-2.0
// The parameters of a node, read and checked: once if they are constants of the model, else in every run.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "kernels/kernels.h"
#include "ops/node.h"
#include "ort/ort.h"

namespace onnx_snn {

// Bounds on sizes, which a model could make arbitrary; all are well above those of fitted neurons.
inline constexpr std::size_t kMaxTimesteps = 64;
inline constexpr std::size_t kMaxBases = 4096;
inline constexpr std::size_t kMaxSlots = 1u << 16;
inline constexpr float kMaxGain = 0x1p111f;

// A reader makes a `Value` of `kInputs` tensors, the inputs of `node` from `first` on.
struct NeuronReader {
  using Value = Neuron;
  static constexpr std::size_t kInputs = 7;
  bool odd;
  Neuron operator()(const Node& node, std::size_t first, const Tensor* inputs) const;
};

// Scales, all positive and finite.
struct Scales {
  Tensor tensor;
  Rescaling kind;
};

struct ScaleReader {
  using Value = Scales;
  static constexpr std::size_t kInputs = 1;
  Scales operator()(const Node& node, std::size_t first, const Tensor* inputs) const;
};

// The range of a neuron: two numbers, the lower one first.
struct RangeReader {
  using Value = Range;
  static constexpr std::size_t kInputs = 1;
  Range operator()(const Node& node, std::size_t first, const Tensor* inputs) const;
};

// Any values, such as gamma and beta.
struct TensorReader {
  using Value = Tensor;
  static constexpr std::size_t kInputs = 1;
  Tensor operator()(const Node&, std::size_t, const Tensor* inputs) const { return *inputs; }
};

// One number, finite and not negative.
struct EpsilonReader {
  using Value = float;
  static constexpr std::size_t kInputs = 1;
  float operator()(const Node& node, std::size_t first, const Tensor* inputs) const;
};

// One parameter of a node, made by a reader.
template <class Reader>
class Parameter {
 public:
  using Value = typename Reader::Value;

  // Holds the value for one run, if the inputs are not constants.
  using Local = std::optional<Value>;

  Parameter(const Node& node, const KernelInfo& info, std::size_t first, Reader reader = {})
      : node_(node), first_(first), reader_(reader) {
    std::array<const OrtValue*, Reader::kInputs> values;
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = info.constant(first + i);
      if (values[i] == nullptr) return;
    }
    constant_.emplace(read(info.api(), values));
  }

  const Value& value(const KernelContext& context, Local& local) const {
    if (constant_) return *constant_;
    std::array<const OrtValue*, Reader::kInputs> values;
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = context.input(first_ + i);
    return local.emplace(read(context.api(), values));
  }

  std::size_t first_input() const { return first_; }
  std::size_t next_input() const { return first_ + Reader::kInputs; }

 private:
  Value read(const OrtApi& api, const std::array<const OrtValue*, Reader::kInputs>& values) const {
    std::array<Tensor, Reader::kInputs> inputs;
    for (std::size_t i = 0; i < values.size(); ++i) inputs[i] = node_.tensor(api, values[i], first_ + i);
    return reader_(node_, first_, inputs.data());
  }

  const Node& node_;
  std::size_t first_;
  Reader reader_;
  std::optional<Value> constant_;
};

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// A node of the model, whose values and shapes are checked because models are not trusted: every message names the node
// and the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>

#include "neuron/neuron.h"
#include "ort/ort.h"

namespace onnx_snn {

// Input names of a neuron's parameters.
#define ONNX_SNN_PARAMETERS(prefix) \
  prefix "u_rest", prefix "gain", prefix "threshold", prefix "reset", prefix "intensity", prefix "weight", prefix "bias"

class Node {
 public:
  Node(const Signature& signature, const KernelInfo& info)
      : signature_(signature), name_(info.node_name()), outputs_(info.outputs()) {}

  // Throws a message that says which input of which node has the problem.
  [[noreturn]] void refuse(std::size_t input, const std::string& problem) const;

  Tensor tensor(const OrtApi& api, const OrtValue* value, std::size_t input) const;
  Tensor input(const KernelContext& context, std::size_t index) const {
    return tensor(context.api(), context.input(index), index);
  }

  // Memory of the result, output 0.
  float* result(const KernelContext& context, const Shape& shape) const;

  // Zeros [S, N] for the spikes of `neuron`; null where the node leaves that output out.
  std::int64_t* spikes(const KernelContext& context, std::size_t output, const Neuron& neuron) const;

  // Zero [1] for the saturated elements of a neuron; null where the node leaves that output out.
  std::int64_t* saturated(const KernelContext& context, std::size_t output) const;

  // The attribute `polarity`: whether the neuron is odd. Every node must have it, because a kernel does not see
  // defaults.
  bool odd(const KernelInfo& info) const;

  // Refuses an input that does not broadcast into the shape of `x`.
  void require_broadcast(std::size_t input, const Shape& shape, const Shape& x) const;

  // Refuses an input of more axes than `x`.
  void require_no_more_axes(std::size_t input, const Shape& shape, const Shape& x) const;

  // Refuses an `x`, input 0, without a last axis or with an empty one.
  void require_rows(const Shape& x) const;

 private:
  std::string prefix() const;

  const Signature& signature_;
  std::string name_;
  std::size_t outputs_;
};

}  // namespace onnx_snn

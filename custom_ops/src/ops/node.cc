// SPDX-License-Identifier: Apache-2.0
#include "ops/node.h"

#include <algorithm>

#include "ops/broadcast.h"

namespace onnx_snn {

void Node::refuse(std::size_t input, const std::string& problem) const {
  throw Error(ORT_INVALID_ARGUMENT, prefix() + "input " + signature_.inputs[input] + " " + problem);
}

Tensor Node::tensor(const OrtApi& api, const OrtValue* value, std::size_t input) const {
  try {
    return tensor_of(api, value);
  } catch (const Error& error) {
    refuse(input, error.what());
  }
}

float* Node::result(const KernelContext& context, const Shape& shape) const {
  OrtValue* const value = context.output(0, shape);
  if (value == nullptr) throw Error(ORT_INVALID_ARGUMENT, prefix() + "output y is missing");
  return static_cast<float*>(data_of(context.api(), value));
}

std::int64_t* Node::spikes(const KernelContext& context, std::size_t output, const Neuron& neuron) const {
  if (output >= outputs_) return nullptr;
  OrtValue* const value = context.output(output, {2, {neuron.timesteps, neuron.bases}});
  if (value == nullptr) return nullptr;
  auto* const counts = static_cast<std::int64_t*>(data_of(context.api(), value));
  std::fill_n(counts, neuron.timesteps * neuron.bases, 0);
  return counts;
}

std::int64_t* Node::saturated(const KernelContext& context, std::size_t output) const {
  if (output >= outputs_) return nullptr;
  OrtValue* const value = context.output(output, {1, {1}});
  if (value == nullptr) return nullptr;
  auto* const count = static_cast<std::int64_t*>(data_of(context.api(), value));
  *count = 0;
  return count;
}

bool Node::odd(const KernelInfo& info) const {
  const auto polarity = info.integer("polarity");
  if (polarity == 0 || polarity == 1) return *polarity == 1;
  const std::string found = polarity ? "is " + std::to_string(*polarity) : "is no integer of the node";
  throw Error(ORT_INVALID_ARGUMENT, prefix() + "attribute polarity " + found + "; expected 0 (one bank) or 1 (odd)");
}

void Node::require_broadcast(std::size_t input, const Shape& shape, const Shape& x) const {
  if (broadcasts(shape, x)) return;
  refuse(input, "has shape " + text(shape) + "; expected one that broadcasts into that of x, " + text(x));
}

void Node::require_no_more_axes(std::size_t input, const Shape& shape, const Shape& x) const {
  if (shape.rank <= x.rank) return;
  refuse(input, "has shape " + text(shape) + "; expected no more axes than x, " + text(x));
}

void Node::require_rows(const Shape& x) const {
  if (x.rank > 0) return;
  refuse(0, "has shape " + text(x) + "; expected one axis or more");
}

std::string Node::prefix() const { return "node '" + name_ + "' (" + signature_.op + "): "; }

}  // namespace onnx_snn

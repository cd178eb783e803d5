// SPDX-License-Identifier: Apache-2.0
// The operators
//
//     MbeNeuron(x, u_rest, gain, threshold, reset, intensity, weight, bias, scale) -> y [, spikes]
//     GuardedMbeNeuron(x, u_rest, gain, threshold, reset, intensity, weight, bias, scale, range) -> y [, saturated]
#pragma once

#include <optional>

#include "ops/node.h"
#include "ops/parameters.h"

namespace onnx_snn {

class MbeNeuronOp {
 public:
  static constexpr const char* kInputs[] = {"x", ONNX_SNN_PARAMETERS(""), "scale"};
  static constexpr Signature kSignature{"MbeNeuron", kInputs, std::size(kInputs), 2};

  explicit MbeNeuronOp(const KernelInfo& info) : MbeNeuronOp(kSignature, info, false) {}
  void compute(const KernelContext& context) const;

 protected:
  MbeNeuronOp(const Signature& signature, const KernelInfo& info, bool guarded);

 private:
  Node node_;
  Parameter<NeuronReader> neuron_;
  Parameter<ScaleReader> scales_;
  std::optional<Parameter<RangeReader>> range_;
};

class GuardedMbeNeuronOp : public MbeNeuronOp {
 public:
  static constexpr const char* kInputs[] = {"x", ONNX_SNN_PARAMETERS(""), "scale", "range"};
  static constexpr Signature kSignature{"GuardedMbeNeuron", kInputs, std::size(kInputs), 2};

  explicit GuardedMbeNeuronOp(const KernelInfo& info) : MbeNeuronOp(kSignature, info, true) {}
};

}  // namespace onnx_snn

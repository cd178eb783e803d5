// SPDX-License-Identifier: Apache-2.0
// The operator MbeNeuron(x, u_rest, gain, threshold, reset, intensity, weight, bias, scale) -> y [, spikes]
#pragma once

#include "ops/node.h"
#include "ops/parameters.h"

namespace onnx_snn {

class MbeNeuronOp {
 public:
  static constexpr const char* kInputs[] = {"x", ONNX_SNN_PARAMETERS(""), "scale"};
  static constexpr Signature kSignature{"MbeNeuron", kInputs, std::size(kInputs), 2};

  explicit MbeNeuronOp(const KernelInfo& info);
  void compute(const KernelContext& context) const;

 private:
  Node node_;
  Parameter<NeuronReader> neuron_;
  Parameter<ScaleReader> scales_;
};

}  // namespace onnx_snn

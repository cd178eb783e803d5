// SPDX-License-Identifier: Apache-2.0
// The operator SpikingSoftmax(x, exp2_*, reciprocal_*) -> y [, exp2_spikes, reciprocal_spikes], over the last axis
#pragma once

#include "ops/node.h"
#include "ops/parameters.h"

namespace onnx_snn {

class SpikingSoftmaxOp {
 public:
  static constexpr const char* kInputs[] = {"x", ONNX_SNN_PARAMETERS("exp2_"), ONNX_SNN_PARAMETERS("reciprocal_")};
  static constexpr Signature kSignature{"SpikingSoftmax", kInputs, std::size(kInputs), 3};

  explicit SpikingSoftmaxOp(const KernelInfo& info);
  void compute(const KernelContext& context) const;

 private:
  Node node_;
  Parameter<NeuronReader> exp2_;
  Parameter<NeuronReader> reciprocal_;
};

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// The operators over the last axis
//
//     SpikingLayerNormalization(x, gamma, beta, epsilon, deviation_*, deviation_scale, rsqrt_*) -> y [, ..._spikes]
//     SpikingRMSNormalization(x, gamma, epsilon, deviation_*, deviation_scale, rsqrt_*) -> y [, ..._spikes]
//     GuardedSpikingLayerNormalization(..., range) -> y [, saturated]
//     GuardedSpikingRMSNormalization(..., range) -> y [, saturated]
#pragma once

#include <optional>

#include "ops/node.h"
#include "ops/parameters.h"
#include "ops/row_values.h"

namespace onnx_snn {

// What all have in common; only layer normalization is centred and has a beta.
class SpikingNormalizationOp {
 public:
  void compute(const KernelContext& context) const;

 protected:
  SpikingNormalizationOp(const Signature& signature, const KernelInfo& info, bool centred, bool guarded);

 private:
  RowValues row_values(const Parameter<TensorReader>& parameter, const KernelContext& context, const Shape& x) const;

  Node node_;
  bool centred_;
  Parameter<TensorReader> gamma_;
  std::optional<Parameter<TensorReader>> beta_;
  Parameter<EpsilonReader> epsilon_;
  Parameter<NeuronReader> deviation_;
  Parameter<ScaleReader> deviation_scales_;
  Parameter<NeuronReader> rsqrt_;
  std::optional<Parameter<RangeReader>> range_;
};

#define ONNX_SNN_NORMALIZATION_NEURONS \
  ONNX_SNN_PARAMETERS("deviation_"), "deviation_scale", ONNX_SNN_PARAMETERS("rsqrt_")

class SpikingLayerNormalizationOp : public SpikingNormalizationOp {
 public:
  static constexpr const char* kInputs[] = {"x", "gamma", "beta", "epsilon", ONNX_SNN_NORMALIZATION_NEURONS};
  static constexpr Signature kSignature{"SpikingLayerNormalization", kInputs, std::size(kInputs), 3};

  explicit SpikingLayerNormalizationOp(const KernelInfo& info)
      : SpikingNormalizationOp(kSignature, info, true, false) {}
};

class SpikingRMSNormalizationOp : public SpikingNormalizationOp {
 public:
  static constexpr const char* kInputs[] = {"x", "gamma", "epsilon", ONNX_SNN_NORMALIZATION_NEURONS};
  static constexpr Signature kSignature{"SpikingRMSNormalization", kInputs, std::size(kInputs), 3};

  explicit SpikingRMSNormalizationOp(const KernelInfo& info) : SpikingNormalizationOp(kSignature, info, false, false) {}
};

class GuardedSpikingLayerNormalizationOp : public SpikingNormalizationOp {
 public:
  static constexpr const char* kInputs[] = {"x", "gamma", "beta", "epsilon", ONNX_SNN_NORMALIZATION_NEURONS, "range"};
  static constexpr Signature kSignature{"GuardedSpikingLayerNormalization", kInputs, std::size(kInputs), 2};

  explicit GuardedSpikingLayerNormalizationOp(const KernelInfo& info)
      : SpikingNormalizationOp(kSignature, info, true, true) {}
};

class GuardedSpikingRMSNormalizationOp : public SpikingNormalizationOp {
 public:
  static constexpr const char* kInputs[] = {"x", "gamma", "epsilon", ONNX_SNN_NORMALIZATION_NEURONS, "range"};
  static constexpr Signature kSignature{"GuardedSpikingRMSNormalization", kInputs, std::size(kInputs), 2};

  explicit GuardedSpikingRMSNormalizationOp(const KernelInfo& info)
      : SpikingNormalizationOp(kSignature, info, false, true) {}
};

#undef ONNX_SNN_NORMALIZATION_NEURONS

}  // namespace onnx_snn

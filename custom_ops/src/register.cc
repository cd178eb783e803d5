// SPDX-License-Identifier: Apache-2.0
// The entry point, which onnxruntime looks up by its name: the operators of domain `onnx_snn`. exports.map lists it as
// the one exported symbol.
#include <map>
#include <memory>
#include <mutex>

#include "ops/mbe_neuron_op.h"
#include "ops/spiking_normalization_op.h"
#include "ops/spiking_softmax_op.h"
#include "ort/custom_op.h"
#include "ort/ort.h"
#include "ort/stay_loaded.h"
#include "simd/dispatch.h"

#if defined(_WIN32)
#define ONNX_SNN_EXPORT __declspec(dllexport)
#else
#define ONNX_SNN_EXPORT __attribute__((visibility("default")))
#endif

namespace onnx_snn {
namespace {

// Domain `onnx_snn` with all operators. Sessions read it and do not own it.
class Domain {
 public:
  explicit Domain(const OrtApi& api) : api_(api) {
    check(api_, api_.CreateCustomOpDomain("onnx_snn", &domain_));
    const OrtCustomOp* const ops[] = {&mbe_neuron_,
                                      &softmax_,
                                      &layer_normalization_,
                                      &rms_normalization_,
                                      &guarded_mbe_neuron_,
                                      &guarded_layer_normalization_,
                                      &guarded_rms_normalization_};
    for (const OrtCustomOp* op : ops) check(api_, api_.CustomOpDomain_Add(domain_, op));
  }
  ~Domain() { api_.ReleaseCustomOpDomain(domain_); }
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  OrtCustomOpDomain* get() const { return domain_; }

 private:
  const OrtApi& api_;
  const CustomOp<MbeNeuronOp> mbe_neuron_{api_};
  const CustomOp<SpikingSoftmaxOp> softmax_{api_};
  const CustomOp<SpikingLayerNormalizationOp> layer_normalization_{api_};
  const CustomOp<SpikingRMSNormalizationOp> rms_normalization_{api_};
  const CustomOp<GuardedMbeNeuronOp> guarded_mbe_neuron_{api_};
  const CustomOp<GuardedSpikingLayerNormalizationOp> guarded_layer_normalization_{api_};
  const CustomOp<GuardedSpikingRMSNormalizationOp> guarded_rms_normalization_{api_};
  OrtCustomOpDomain* domain_ = nullptr;
};

// The domain of each onnxruntime that is loaded in this process: an operator calls back the one that registered it. A
// runtime that is unloaded does not tell, so domains are never released.
const Domain& domain_of(const OrtApi& api) {
  static std::mutex mutex;
  static auto& domains = *new std::map<const OrtApi*, std::unique_ptr<const Domain>>;
  const std::lock_guard<std::mutex> lock(mutex);
  stay_loaded(&mutex);
  std::unique_ptr<const Domain>& domain = domains[&api];
  if (domain == nullptr) domain = std::make_unique<const Domain>(api);
  return *domain;
}

// The first version of the interface, which every onnxruntime has, can at least say what is wrong.
OrtStatus* too_old(const OrtApiBase& base) {
  const std::string found = base.GetVersionString();
  return base.GetApi(1)->CreateStatus(
      ORT_FAIL, ("the operators of onnx_snn need onnxruntime 1.17 or later, this is " + found).c_str());
}

}  // namespace
}  // namespace onnx_snn

extern "C" ONNX_SNN_EXPORT onnx_snn::OrtStatus* RegisterCustomOps(onnx_snn::OrtSessionOptions* options,
                                                                  const onnx_snn::OrtApiBase* base) {
  using namespace onnx_snn;
  const OrtApi* const api = base->GetApi(kApiVersion);
  if (api == nullptr) return too_old(*base);
  return guarded(*api, [&] {
    const std::string wrong = missing_instruction_set();
    if (!wrong.empty()) throw Error(ORT_INVALID_ARGUMENT, wrong);
    check(*api, api->AddCustomOpDomain(options, domain_of(*api).get()));
  });
}

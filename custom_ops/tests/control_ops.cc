// SPDX-License-Identifier: Apache-2.0
// Operators that show what ThreadSanitizer finds in a session of onnxruntime, whose pool of threads it does not see: one
// whose tasks are ordered with the caller only, as those of the kernels are, and one whose tasks race. The library is
// built twice, with what ort/hand_off.h tells and without.
#include <numeric>
#include <vector>

#include "ort/custom_op.h"
#include "ort/ort.h"

namespace onnx_snn {
namespace {

constexpr std::size_t kTasks = 64;
constexpr const char* kInputs[] = {"x"};

// The sum of x after `add` has been called in each of the tasks with the result.
template <class Add>
void sum_in_tasks(const KernelContext& context, const Add& add) {
  const Tensor x = tensor_of(context.api(), context.input(0));
  const float sum = std::accumulate(x.values, x.values + x.elements, 0.0f);
  std::vector<float> results(kTasks);
  float total = 0;
  context.parallel_for(kTasks, [&](std::size_t task) {
    for (std::size_t i = 0; i < 1000; ++i) add(results[task], total, sum);
  });
  total += std::accumulate(results.begin(), results.end(), 0.0f);
  *static_cast<float*>(data_of(context.api(), context.output(0, Shape{}))) = total;
}

// Each task reads what the caller wrote, and writes what the caller reads.
struct OrderedOp {
  static constexpr Signature kSignature{"Ordered", kInputs, 1, 1};
  explicit OrderedOp(const KernelInfo&) {}
  void compute(const KernelContext& context) const {
    sum_in_tasks(context, [](float& own, float&, float sum) { own += sum; });
  }
};

// All tasks write to one number.
struct RacyOp {
  static constexpr Signature kSignature{"Racy", kInputs, 1, 1};
  explicit RacyOp(const KernelInfo&) {}
  void compute(const KernelContext& context) const {
    sum_in_tasks(context, [](float&, float& shared, float sum) { shared += sum; });
  }
};

}  // namespace
}  // namespace onnx_snn

extern "C" __attribute__((visibility("default"))) onnx_snn::OrtStatus* RegisterCustomOps(
    onnx_snn::OrtSessionOptions* options, const onnx_snn::OrtApiBase* base) {
  using namespace onnx_snn;
  const OrtApi& api = *base->GetApi(kApiVersion);
  return guarded(api, [&] {
    static const CustomOp<OrderedOp> ordered(api);
    static const CustomOp<RacyOp> racy(api);
    OrtCustomOpDomain* domain = nullptr;  // of the process
    check(api, api.CreateCustomOpDomain("control", &domain));
    check(api, api.CustomOpDomain_Add(domain, &ordered));
    check(api, api.CustomOpDomain_Add(domain, &racy));
    check(api, api.AddCustomOpDomain(options, domain));
  });
}

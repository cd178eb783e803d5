// SPDX-License-Identifier: Apache-2.0
// Operators that show what sanitizers find in a session of onnxruntime, which is not instrumented: one whose tasks are
// ordered with the caller only, as those of the kernels are, one whose tasks race, and one that writes beyond its
// output. For ThreadSanitizer the library is built twice, with what ort/hand_off.h tells and without.
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

// Writes one element after those of y.
struct BeyondOp {
  static constexpr Signature kSignature{"Beyond", kInputs, 1, 1};
  explicit BeyondOp(const KernelInfo&) {}
  void compute(const KernelContext& context) const {
    const Tensor x = tensor_of(context.api(), context.input(0));
    auto* const y = static_cast<float*>(data_of(context.api(), context.output(0, x.shape)));
    for (std::size_t i = 0; i <= x.elements; ++i) y[i] = 0;
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
    static const CustomOp<BeyondOp> beyond(api);
    OrtCustomOpDomain* domain = nullptr;  // of the process
    check(api, api.CreateCustomOpDomain("control", &domain));
    for (const OrtCustomOp* op : {static_cast<const OrtCustomOp*>(&ordered), static_cast<const OrtCustomOp*>(&racy),
                                  static_cast<const OrtCustomOp*>(&beyond)}) {
      check(api, api.CustomOpDomain_Add(domain, op));
    }
    check(api, api.AddCustomOpDomain(options, domain));
  });
}

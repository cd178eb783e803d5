// SPDX-License-Identifier: Apache-2.0
// Wraps an operator class as the table of functions that onnxruntime calls.
#pragma once

#include <cstddef>
#include <limits>

#include "ort/ort.h"
#include "ort/shape_inference.h"

namespace onnx_snn {

// `Op` has a `kSignature` (ort.h), a constructor from a KernelInfo, and compute(const KernelContext&) const, which
// several threads may call at once.
template <class Op>
class CustomOp : public OrtCustomOp {
 public:
  explicit CustomOp(const OrtApi& api) : OrtCustomOp{}, api_(api) {
    version = kApiVersion;
    declare_signature();
    declare_shape();
    declare_kernel();
    declare_no_variadics();
  }

 private:
  struct Kernel {
    Kernel(const OrtApi& api, const OrtKernelInfo* info) : api(api), op(KernelInfo(api, info)) {}
    const OrtApi& api;
    const Op op;
  };

  void declare_signature() {
    GetName = [](const OrtCustomOp*) { return Op::kSignature.op; };
    GetExecutionProviderType = [](const OrtCustomOp*) { return "CPUExecutionProvider"; };
    GetInputTypeCount = [](const OrtCustomOp*) { return Op::kSignature.input_count; };
    GetInputType = [](const OrtCustomOp*, std::size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; };
    GetInputCharacteristic = [](const OrtCustomOp*, std::size_t) { return INPUT_OUTPUT_REQUIRED; };
    GetInputMemoryType = [](const OrtCustomOp*, std::size_t) { return OrtMemTypeDefault; };
    GetOutputTypeCount = [](const OrtCustomOp*) { return Op::kSignature.output_count; };
    GetOutputType = [](const OrtCustomOp*, std::size_t index) {
      return index == 0 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    };
    GetOutputCharacteristic = [](const OrtCustomOp*, std::size_t index) {
      return index == 0 ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
    };
    GetStartVersion = [](const OrtCustomOp*) { return 1; };
    GetEndVersion = [](const OrtCustomOp*) { return std::numeric_limits<int>::max(); };
  }

  void declare_shape() {
    InferOutputShapeFn = [](const OrtCustomOp* op, OrtShapeInferContext* context) {
      const OrtApi& api = static_cast<const CustomOp*>(op)->api_;
      return guarded(api, [&] { infer_shape_of_result(api, context); });
    };
  }

  void declare_kernel() {
    CreateKernelV2 = [](const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info, void** kernel) {
      return guarded(*api, [&] { *kernel = new Kernel(*api, info); });
    };
    KernelComputeV2 = [](void* kernel, OrtKernelContext* context) {
      const Kernel& self = *static_cast<const Kernel*>(kernel);
      return guarded(self.api, [&] { self.op.compute(KernelContext(self.api, context)); });
    };
    KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  }

  // onnxruntime asks for these of every operator.
  void declare_no_variadics() {
    GetVariadicInputMinArity = GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 0; };
    GetVariadicInputHomogeneity = GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 0; };
  }

  const OrtApi& api_;
};

}  // namespace onnx_snn

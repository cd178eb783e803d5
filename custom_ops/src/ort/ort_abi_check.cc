// SPDX-License-Identifier: Apache-2.0
// Compares the declarations of `ort_abi.h` with the slots that onnxruntime released, and with its official header where
// the build names one (ONNXRUNTIME_INCLUDE_DIR). Nothing here runs.
#include "ort/ort_abi.h"

#ifdef ONNX_SNN_OFFICIAL_HEADER
#include <onnxruntime_c_api.h>
#define OFFICIAL(expression) static_assert(expression, "ort_abi.h differs from onnxruntime_c_api.h")
#else
#define OFFICIAL(expression) static_assert(true, "")
#endif

namespace {

constexpr std::size_t kPointer = sizeof(void (*)());

#define API(member, slot)                                                                                \
  static_assert(offsetof(onnx_snn::OrtApi, member) == (slot) * kPointer, #member " is not in its slot"); \
  OFFICIAL(offsetof(::OrtApi, member) == offsetof(onnx_snn::OrtApi, member))

#define CUSTOM_OP(member, slot)                                                                                \
  static_assert(offsetof(onnx_snn::OrtCustomOp, member) == (slot) * kPointer, #member " is not in its place"); \
  OFFICIAL(offsetof(::OrtCustomOp, member) == offsetof(onnx_snn::OrtCustomOp, member))

#define CONSTANT(name, value)                                           \
  static_assert(onnx_snn::name == (value), #name " has another value"); \
  OFFICIAL(static_cast<int>(::name) == static_cast<int>(onnx_snn::name))

API(CreateStatus, 0);
API(GetErrorCode, 1);
API(GetErrorMessage, 2);
API(CreateCustomOpDomain, 26);
API(CustomOpDomain_Add, 27);
API(AddCustomOpDomain, 28);
API(GetTensorMutableData, 51);
API(GetTensorElementType, 60);
API(GetDimensionsCount, 61);
API(GetDimensions, 62);
API(GetSymbolicDimensions, 63);
API(GetTensorTypeAndShape, 65);
API(KernelInfoGetAttribute_int64, 86);
API(KernelContext_GetInput, 90);
API(KernelContext_GetOutput, 91);
API(ReleaseStatus, 93);
API(ReleaseTensorTypeAndShapeInfo, 99);
API(ReleaseCustomOpDomain, 101);
API(KernelInfo_GetOutputCount, 231);
API(KernelInfo_GetNodeName, 244);
API(KernelInfoGetConstantInput_tensor, 249);
API(ShapeInferContext_GetInputTypeShape, 268);
API(ShapeInferContext_SetOutputTypeShape, 270);
API(KernelContext_ParallelFor, 274);

CUSTOM_OP(version, 0);
CUSTOM_OP(CreateKernel, 1);
CUSTOM_OP(GetName, 2);
CUSTOM_OP(GetExecutionProviderType, 3);
CUSTOM_OP(GetInputType, 4);
CUSTOM_OP(GetInputTypeCount, 5);
CUSTOM_OP(GetOutputType, 6);
CUSTOM_OP(GetOutputTypeCount, 7);
CUSTOM_OP(KernelCompute, 8);
CUSTOM_OP(KernelDestroy, 9);
CUSTOM_OP(GetInputCharacteristic, 10);
CUSTOM_OP(GetOutputCharacteristic, 11);
CUSTOM_OP(GetInputMemoryType, 12);
CUSTOM_OP(GetVariadicInputMinArity, 13);
CUSTOM_OP(GetVariadicInputHomogeneity, 14);
CUSTOM_OP(GetVariadicOutputMinArity, 15);
CUSTOM_OP(GetVariadicOutputHomogeneity, 16);
CUSTOM_OP(CreateKernelV2, 17);
CUSTOM_OP(KernelComputeV2, 18);
CUSTOM_OP(InferOutputShapeFn, 19);
CUSTOM_OP(GetStartVersion, 20);
CUSTOM_OP(GetEndVersion, 21);
CUSTOM_OP(GetMayInplace, 22);
CUSTOM_OP(ReleaseMayInplace, 23);
CUSTOM_OP(GetAliasMap, 24);
CUSTOM_OP(ReleaseAliasMap, 25);

CONSTANT(ORT_OK, 0);
CONSTANT(ORT_FAIL, 1);
CONSTANT(ORT_INVALID_ARGUMENT, 2);
CONSTANT(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 1);
CONSTANT(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, 7);
CONSTANT(INPUT_OUTPUT_REQUIRED, 0);
CONSTANT(INPUT_OUTPUT_OPTIONAL, 1);
CONSTANT(OrtMemTypeDefault, 0);

static_assert(sizeof(onnx_snn::OrtApiBase) == 2 * kPointer);
OFFICIAL(sizeof(::OrtApiBase) == sizeof(onnx_snn::OrtApiBase));

}  // namespace

// SPDX-License-Identifier: Apache-2.0
// The small part of onnxruntime's C interface that this library uses, so that it builds without onnxruntime's headers.
//
// The interface is a table of function pointers whose slots never move once released: API version 17, of onnxruntime
// 1.17, serves every later release. `ort_abi_check.cc` compares each slot with the official header.
#pragma once

#include <cstddef>
#include <cstdint>

namespace onnx_snn {

inline constexpr std::uint32_t kApiVersion = 17;

struct OrtCustomOpDomain;
struct OrtKernelContext;
struct OrtKernelInfo;
struct OrtSessionOptions;
struct OrtShapeInferContext;
struct OrtStatus;  // null: success
struct OrtTensorTypeAndShapeInfo;
struct OrtValue;
struct OrtApi;

enum OrtErrorCode { ORT_OK, ORT_FAIL, ORT_INVALID_ARGUMENT };
enum ONNXTensorElementDataType {
  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 = 7,
};
enum OrtCustomOpInputOutputCharacteristic { INPUT_OUTPUT_REQUIRED, INPUT_OUTPUT_OPTIONAL };
enum OrtMemType { OrtMemTypeDefault };

struct OrtApiBase {
  const OrtApi* (*GetApi)(std::uint32_t version);  // null: a version newer than this onnxruntime
  const char* (*GetVersionString)();
};

using UnusedSlot = void (*)();

struct OrtApi {
  OrtStatus* (*CreateStatus)(OrtErrorCode code, const char* message);
  OrtErrorCode (*GetErrorCode)(const OrtStatus*);
  const char* (*GetErrorMessage)(const OrtStatus*);
  UnusedSlot unused_3[23];
  OrtStatus* (*CreateCustomOpDomain)(const char* domain, OrtCustomOpDomain** out);
  OrtStatus* (*CustomOpDomain_Add)(OrtCustomOpDomain*, const struct OrtCustomOp*);
  OrtStatus* (*AddCustomOpDomain)(OrtSessionOptions*, OrtCustomOpDomain*);
  UnusedSlot unused_29[22];
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void** out);
  UnusedSlot unused_52[8];
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo*, ONNXTensorElementDataType* out);
  OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo*, std::size_t* out);
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo*, std::int64_t* sides, std::size_t rank);
  OrtStatus* (*GetSymbolicDimensions)(const OrtTensorTypeAndShapeInfo*, const char** names, std::size_t rank);
  UnusedSlot unused_64[1];
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo** out);
  UnusedSlot unused_66[20];
  OrtStatus* (*KernelInfoGetAttribute_int64)(const OrtKernelInfo*, const char* name, std::int64_t* out);
  UnusedSlot unused_87[3];
  OrtStatus* (*KernelContext_GetInput)(const OrtKernelContext*, std::size_t index, const OrtValue** out);
  OrtStatus* (*KernelContext_GetOutput)(OrtKernelContext*, std::size_t index, const std::int64_t* sides,
                                        std::size_t rank, OrtValue** out);
  UnusedSlot unused_92[1];
  void (*ReleaseStatus)(OrtStatus*);
  UnusedSlot unused_94[5];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);
  UnusedSlot unused_100[1];
  void (*ReleaseCustomOpDomain)(OrtCustomOpDomain*);
  UnusedSlot unused_102[129];
  OrtStatus* (*KernelInfo_GetOutputCount)(const OrtKernelInfo*, std::size_t* out);
  UnusedSlot unused_232[12];
  OrtStatus* (*KernelInfo_GetNodeName)(const OrtKernelInfo*, char* out, std::size_t* size);  // out null: asks the size
  UnusedSlot unused_245[4];
  OrtStatus* (*KernelInfoGetConstantInput_tensor)(const OrtKernelInfo*, std::size_t index, int* is_constant,
                                                  const OrtValue** out);
  UnusedSlot unused_250[18];
  OrtStatus* (*ShapeInferContext_GetInputTypeShape)(const OrtShapeInferContext*, std::size_t index,
                                                    OrtTensorTypeAndShapeInfo** out);
  UnusedSlot unused_269[1];
  OrtStatus* (*ShapeInferContext_SetOutputTypeShape)(const OrtShapeInferContext*, std::size_t index,
                                                     const OrtTensorTypeAndShapeInfo*);
  UnusedSlot unused_271[3];
  OrtStatus* (*KernelContext_ParallelFor)(const OrtKernelContext*, void (*task)(void* user_data, std::size_t index),
                                          std::size_t count, std::size_t batches, void* user_data);
};

// What the library tells onnxruntime about one operator. Only the version-1 kernel functions may be null.
struct OrtCustomOp {
  std::uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*);
  const char* (*GetName)(const OrtCustomOp*);
  const char* (*GetExecutionProviderType)(const OrtCustomOp*);
  ONNXTensorElementDataType (*GetInputType)(const OrtCustomOp*, std::size_t index);
  std::size_t (*GetInputTypeCount)(const OrtCustomOp*);
  ONNXTensorElementDataType (*GetOutputType)(const OrtCustomOp*, std::size_t index);
  std::size_t (*GetOutputTypeCount)(const OrtCustomOp*);
  void (*KernelCompute)(void* kernel, OrtKernelContext*);
  void (*KernelDestroy)(void* kernel);
  OrtCustomOpInputOutputCharacteristic (*GetInputCharacteristic)(const OrtCustomOp*, std::size_t index);
  OrtCustomOpInputOutputCharacteristic (*GetOutputCharacteristic)(const OrtCustomOp*, std::size_t index);
  OrtMemType (*GetInputMemoryType)(const OrtCustomOp*, std::size_t index);
  int (*GetVariadicInputMinArity)(const OrtCustomOp*);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp*);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp*);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp*);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*, void** kernel);
  OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext*);
  OrtStatus* (*InferOutputShapeFn)(const OrtCustomOp*, OrtShapeInferContext*);
  int (*GetStartVersion)(const OrtCustomOp*);
  int (*GetEndVersion)(const OrtCustomOp*);
  std::size_t (*GetMayInplace)(int** inputs, int** outputs);
  void (*ReleaseMayInplace)(int* inputs, int* outputs);
  std::size_t (*GetAliasMap)(int** inputs, int** outputs);
  void (*ReleaseAliasMap)(int* inputs, int* outputs);
};

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
#include "host.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

extern "C" onnx_snn::OrtStatus* RegisterCustomOps(onnx_snn::OrtSessionOptions*, const onnx_snn::OrtApiBase*);

namespace onnx_snn {

std::uint32_t newest_api = kApiVersion;

namespace {

std::size_t size_of(ONNXTensorElementDataType type) {
  return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT ? sizeof(float) : sizeof(std::int64_t);
}

}  // namespace

OrtValue::OrtValue(ONNXTensorElementDataType type, std::vector<std::int64_t> sides)
    : type(type), sides(std::move(sides)), data(std::malloc(elements() * size_of(type)), std::free) {
  std::memset(data.get(), 0x5A, elements() * size_of(type));  // so that elements a kernel does not write are wrong
}

OrtValue::OrtValue(std::vector<std::int64_t> sides, const std::vector<float>& values)
    : OrtValue(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, std::move(sides)) {
  if (values.size() != elements()) std::abort();
  std::copy(values.begin(), values.end(), floats());
}

std::size_t OrtValue::elements() const {
  std::size_t count = 1;
  for (const std::int64_t side : sides) count *= static_cast<std::size_t>(side);
  return count;
}

Failure failure(OrtStatus* status) {
  if (status == nullptr) return std::nullopt;
  const std::unique_ptr<OrtStatus> owned(status);
  return owned->message;
}

namespace {

// The functions of the interface, named like the members of OrtApi.
namespace api {

OrtStatus* CreateStatus(OrtErrorCode code, const char* message) { return new OrtStatus{code, message}; }
OrtErrorCode GetErrorCode(const OrtStatus* status) { return status->code; }
const char* GetErrorMessage(const OrtStatus* status) { return status->message.c_str(); }
void ReleaseStatus(OrtStatus* status) { delete status; }

OrtStatus* CreateCustomOpDomain(const char* name, OrtCustomOpDomain** out) {
  *out = new OrtCustomOpDomain{name, {}};
  return nullptr;
}
OrtStatus* CustomOpDomain_Add(OrtCustomOpDomain* domain, const OrtCustomOp* op) {
  domain->ops.push_back(op);
  return nullptr;
}
OrtStatus* AddCustomOpDomain(OrtSessionOptions* options, OrtCustomOpDomain* domain) {
  options->domains.push_back(domain);
  return nullptr;
}
void ReleaseCustomOpDomain(OrtCustomOpDomain* domain) { delete domain; }

OrtStatus* GetTensorMutableData(OrtValue* value, void** out) {
  *out = value->elements() == 0 ? nullptr : value->data.get();
  return nullptr;
}
OrtStatus* GetTensorTypeAndShape(const OrtValue* value, OrtTensorTypeAndShapeInfo** out) {
  *out = new OrtTensorTypeAndShapeInfo{value->type, value->sides, {}};
  return nullptr;
}
OrtStatus* GetTensorElementType(const OrtTensorTypeAndShapeInfo* info, ONNXTensorElementDataType* out) {
  *out = info->type;
  return nullptr;
}
OrtStatus* GetDimensionsCount(const OrtTensorTypeAndShapeInfo* info, std::size_t* out) {
  *out = info->sides.size();
  return nullptr;
}
OrtStatus* GetDimensions(const OrtTensorTypeAndShapeInfo* info, std::int64_t* sides, std::size_t rank) {
  std::copy_n(info->sides.begin(), std::min(rank, info->sides.size()), sides);
  return nullptr;
}
OrtStatus* GetSymbolicDimensions(const OrtTensorTypeAndShapeInfo* info, const char** names, std::size_t rank) {
  for (std::size_t axis = 0; axis < rank; ++axis) names[axis] = info->names.at(axis).c_str();
  return nullptr;
}
void ReleaseTensorTypeAndShapeInfo(OrtTensorTypeAndShapeInfo* info) { delete info; }

OrtStatus* KernelInfoGetAttribute_int64(const OrtKernelInfo* info, const char* name, std::int64_t* out) {
  const auto found = info->attributes.find(name);
  if (found == info->attributes.end()) return CreateStatus(ORT_FAIL, "no such attribute");
  *out = found->second;
  return nullptr;
}
OrtStatus* KernelInfo_GetOutputCount(const OrtKernelInfo* info, std::size_t* out) {
  *out = info->outputs;
  return nullptr;
}
OrtStatus* KernelInfo_GetNodeName(const OrtKernelInfo* info, char* out, std::size_t* size) {
  const std::size_t needed = info->name.size() + 1;
  if (out != nullptr) {
    if (*size < needed) return CreateStatus(ORT_INVALID_ARGUMENT, "the name is longer");
    std::memcpy(out, info->name.c_str(), needed);
  }
  *size = needed;
  return nullptr;
}
OrtStatus* KernelInfoGetConstantInput_tensor(const OrtKernelInfo* info, std::size_t index, int* is_constant,
                                             const OrtValue** out) {
  if (index >= info->constants.size()) return CreateStatus(ORT_INVALID_ARGUMENT, "no such input");
  *out = info->constants[index];
  *is_constant = *out != nullptr;
  return nullptr;
}

OrtStatus* KernelContext_GetInput(const OrtKernelContext* context, std::size_t index, const OrtValue** out) {
  *out = index < context->inputs.size() ? context->inputs[index] : nullptr;
  return nullptr;
}
OrtStatus* KernelContext_GetOutput(OrtKernelContext* context, std::size_t index, const std::int64_t* sides,
                                   std::size_t rank, OrtValue** out) {
  *out = nullptr;
  if (index >= context->wanted.size() || !context->wanted[index]) return nullptr;
  const auto type = index == 0 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
  context->outputs.resize(context->wanted.size());
  *out = &context->outputs[index].emplace(type, std::vector<std::int64_t>(sides, sides + rank));
  return nullptr;
}
OrtStatus* KernelContext_ParallelFor(const OrtKernelContext* context, void (*task)(void*, std::size_t),
                                     std::size_t count, std::size_t, void* user_data) {
  if (user_data == nullptr) return CreateStatus(ORT_INVALID_ARGUMENT, "user data must not be null");
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t index = next++; index < count; index = next++) task(user_data, index);
  };
  std::vector<std::thread> others;
  for (std::size_t thread = 1; thread < context->threads; ++thread) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  return nullptr;
}

OrtStatus* ShapeInferContext_GetInputTypeShape(const OrtShapeInferContext* context, std::size_t,
                                               OrtTensorTypeAndShapeInfo** out) {
  *out = const_cast<OrtTensorTypeAndShapeInfo*>(&context->input);
  return nullptr;
}
OrtStatus* ShapeInferContext_SetOutputTypeShape(const OrtShapeInferContext* context, std::size_t,
                                                const OrtTensorTypeAndShapeInfo* info) {
  const_cast<OrtShapeInferContext*>(context)->output = *info;
  return nullptr;
}

}  // namespace api

OrtApi implemented() {
  OrtApi table{};  // a call of anything else ends in a null pointer
#define IMPLEMENT(member) table.member = api::member
  IMPLEMENT(CreateStatus);
  IMPLEMENT(GetErrorCode);
  IMPLEMENT(GetErrorMessage);
  IMPLEMENT(ReleaseStatus);
  IMPLEMENT(CreateCustomOpDomain);
  IMPLEMENT(CustomOpDomain_Add);
  IMPLEMENT(AddCustomOpDomain);
  IMPLEMENT(ReleaseCustomOpDomain);
  IMPLEMENT(GetTensorMutableData);
  IMPLEMENT(GetTensorTypeAndShape);
  IMPLEMENT(GetTensorElementType);
  IMPLEMENT(GetDimensionsCount);
  IMPLEMENT(GetDimensions);
  IMPLEMENT(GetSymbolicDimensions);
  IMPLEMENT(ReleaseTensorTypeAndShapeInfo);
  IMPLEMENT(KernelInfoGetAttribute_int64);
  IMPLEMENT(KernelInfo_GetOutputCount);
  IMPLEMENT(KernelInfo_GetNodeName);
  IMPLEMENT(KernelInfoGetConstantInput_tensor);
  IMPLEMENT(KernelContext_GetInput);
  IMPLEMENT(KernelContext_GetOutput);
  IMPLEMENT(KernelContext_ParallelFor);
  IMPLEMENT(ShapeInferContext_GetInputTypeShape);
  IMPLEMENT(ShapeInferContext_SetOutputTypeShape);
#undef IMPLEMENT
  return table;
}

const OrtApi kApi = implemented();

}  // namespace

const OrtApiBase& host() {
  static const OrtApiBase base{[](std::uint32_t version) { return version <= newest_api ? &kApi : nullptr; },
                               [] { return "a stand-in"; }};
  return base;
}

const OrtApiBase& other_host() {
  static const OrtApi api = kApi;
  static const OrtApiBase base{[](std::uint32_t) { return &api; }, host().GetVersionString};
  return base;
}

Failure register_in(OrtSessionOptions& options, const OrtApiBase& base) {
  return failure(RegisterCustomOps(&options, &base));
}

Failure register_in(OrtSessionOptions& options) { return failure(RegisterCustomOps(&options, &host())); }

const OrtCustomOp& registered(const std::string& name) {
  OrtSessionOptions options;
  if (register_in(options) || options.domains.size() != 1 || options.domains[0]->name != "onnx_snn") std::abort();
  for (const OrtCustomOp* op : options.domains[0]->ops) {
    if (op->GetName(op) == name) return *op;
  }
  std::abort();
}

HostKernel::HostKernel(const std::string& op, const OrtKernelInfo& info) : op_(registered(op)) {
  failed = failure(op_.CreateKernelV2(&op_, &kApi, &info, &kernel_));
}

HostKernel::~HostKernel() {
  if (kernel_ != nullptr) op_.KernelDestroy(kernel_);
}

}  // namespace onnx_snn

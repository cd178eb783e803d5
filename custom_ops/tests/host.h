// SPDX-License-Identifier: Apache-2.0
// A stand-in for onnxruntime: what the operators use of its C interface, over plain C++ values. All of it can be
// instrumented by a sanitizer, which onnxruntime's own binaries cannot.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ort/ort_abi.h"

namespace onnx_snn {

// A tensor in a block of memory of exactly its size, so that an access beyond it is found.
struct OrtValue {
  OrtValue(ONNXTensorElementDataType type, std::vector<std::int64_t> sides);
  OrtValue(std::vector<std::int64_t> sides, const std::vector<float>& values);

  std::size_t elements() const;
  float* floats() const { return static_cast<float*>(data.get()); }
  std::int64_t* integers() const { return static_cast<std::int64_t*>(data.get()); }

  ONNXTensorElementDataType type;
  std::vector<std::int64_t> sides;
  std::unique_ptr<void, void (*)(void*)> data;
};

struct OrtTensorTypeAndShapeInfo {
  ONNXTensorElementDataType type;
  std::vector<std::int64_t> sides;
  std::vector<std::string> names;  // of sides that are -1
};

struct OrtStatus {
  OrtErrorCode code;
  std::string message;
};

struct OrtKernelInfo {
  std::string name;
  std::map<std::string, std::int64_t> attributes;
  std::vector<const OrtValue*> constants;  // null: not a constant
  std::size_t outputs;
};

struct OrtKernelContext {
  std::vector<const OrtValue*> inputs;
  std::vector<bool> wanted;  // outputs that are not left out
  std::size_t threads;
  std::vector<std::optional<OrtValue>> outputs;
};

struct OrtShapeInferContext {
  OrtTensorTypeAndShapeInfo input;
  std::optional<OrtTensorTypeAndShapeInfo> output;
};

struct OrtCustomOpDomain {
  std::string name;
  std::vector<const OrtCustomOp*> ops;
};

struct OrtSessionOptions {
  std::vector<const OrtCustomOpDomain*> domains;
};

// The interface of `version`, which is null for versions newer than `newest_api`.
const OrtApiBase& host();
extern std::uint32_t newest_api;

// The message of a call that failed.
using Failure = std::optional<std::string>;
Failure failure(OrtStatus* status);

// The interface of another onnxruntime in the same process.
const OrtApiBase& other_host();

// Calls the library's entry point.
Failure register_in(OrtSessionOptions& options);
Failure register_in(OrtSessionOptions& options, const OrtApiBase& base);

// The operator of that name, as the library registers it.
const OrtCustomOp& registered(const std::string& name);

// A kernel as a session holds it; not created where `failed` says why.
class HostKernel {
 public:
  HostKernel(const std::string& op, const OrtKernelInfo& info);
  ~HostKernel();
  HostKernel(const HostKernel&) = delete;
  HostKernel& operator=(const HostKernel&) = delete;

  Failure run(OrtKernelContext& context) const { return failure(op_.KernelComputeV2(kernel_, &context)); }

  Failure failed;

 private:
  const OrtCustomOp& op_;
  void* kernel_ = nullptr;
};

}  // namespace onnx_snn

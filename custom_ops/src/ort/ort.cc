// SPDX-License-Identifier: Apache-2.0
#include "ort/ort.h"

#include <algorithm>
#include <array>

namespace onnx_snn {
namespace {

// Type and shape of a value, in memory that onnxruntime allocates and this class releases.
class TypeAndShape {
 public:
  TypeAndShape(const OrtApi& api, const OrtValue* value) : api_(api) {
    check(api_, api_.GetTensorTypeAndShape(value, &info_));
  }
  ~TypeAndShape() { api_.ReleaseTensorTypeAndShapeInfo(info_); }
  TypeAndShape(const TypeAndShape&) = delete;
  TypeAndShape& operator=(const TypeAndShape&) = delete;

  ONNXTensorElementDataType type() const {
    ONNXTensorElementDataType type;
    check(api_, api_.GetTensorElementType(info_, &type));
    return type;
  }

  Shape shape() const {
    Shape shape;
    check(api_, api_.GetDimensionsCount(info_, &shape.rank));
    if (shape.rank > kMaxRank) {
      throw Error(ORT_INVALID_ARGUMENT,
                  "has rank " + std::to_string(shape.rank) + "; expected at most " + std::to_string(kMaxRank));
    }
    std::array<std::int64_t, kMaxRank> sides;
    check(api_, api_.GetDimensions(info_, sides.data(), shape.rank));
    std::copy_n(sides.begin(), shape.rank, shape.sides.begin());
    return shape;
  }

 private:
  const OrtApi& api_;
  OrtTensorTypeAndShapeInfo* info_ = nullptr;
};

}  // namespace

void raise(const OrtApi& api, OrtStatus* status) {
  const Error error(api.GetErrorCode(status), api.GetErrorMessage(status));
  api.ReleaseStatus(status);
  throw error;
}

Tensor tensor_of(const OrtApi& api, const OrtValue* value) {
  if (value == nullptr) throw Error(ORT_INVALID_ARGUMENT, "is missing");
  const TypeAndShape info(api, value);
  if (const auto type = info.type(); type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
    throw Error(ORT_INVALID_ARGUMENT, "has element type " + std::to_string(type) + "; expected float32 (1)");
  }
  Tensor tensor;
  tensor.shape = info.shape();
  tensor.elements = tensor.shape.elements();
  // The interface gives access for writing only; nothing is written here.
  tensor.values = static_cast<const float*>(data_of(api, const_cast<OrtValue*>(value)));
  return tensor;
}

void* data_of(const OrtApi& api, OrtValue* value) {
  void* data = nullptr;
  check(api, api.GetTensorMutableData(value, &data));
  return data;
}

std::string text(const Shape& shape) {
  std::string sides;
  for (std::size_t axis = 0; axis < shape.rank; ++axis) {
    sides += (axis == 0 ? "" : ",") + std::to_string(shape.sides[axis]);
  }
  return "[" + sides + "]";
}

std::string KernelInfo::node_name() const {
  std::size_t size = 0;  // with the terminating zero
  check(api_, api_.KernelInfo_GetNodeName(info_, nullptr, &size));
  std::string name(size, '\0');
  check(api_, api_.KernelInfo_GetNodeName(info_, name.data(), &size));
  name.resize(size - 1);
  return name;
}

std::size_t KernelInfo::outputs() const {
  std::size_t count = 0;
  check(api_, api_.KernelInfo_GetOutputCount(info_, &count));
  return count;
}

std::optional<std::int64_t> KernelInfo::integer(const char* attribute) const {
  std::int64_t value = 0;
  OrtStatus* status = api_.KernelInfoGetAttribute_int64(info_, attribute, &value);
  if (status == nullptr) return value;
  api_.ReleaseStatus(status);
  return std::nullopt;
}

const OrtValue* KernelInfo::constant(std::size_t index) const {
  int is_constant = 0;
  const OrtValue* value = nullptr;
  check(api_, api_.KernelInfoGetConstantInput_tensor(info_, index, &is_constant, &value));
  return is_constant != 0 ? value : nullptr;
}

const OrtValue* KernelContext::input(std::size_t index) const {
  const OrtValue* value = nullptr;
  check(api_, api_.KernelContext_GetInput(context_, index, &value));
  return value;
}

OrtValue* KernelContext::output(std::size_t index, const Shape& shape) const {
  std::array<std::int64_t, kMaxRank> sides;
  std::copy_n(shape.sides.begin(), shape.rank, sides.begin());
  OrtValue* value = nullptr;
  check(api_, api_.KernelContext_GetOutput(context_, index, sides.data(), shape.rank, &value));
  return value;
}

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
#include "ort/shape_inference.h"

#include <array>

#include "ort/ort.h"

namespace onnx_snn {
namespace {

// Whether onnxruntime would hand the shape on as it is. It reads an unknown shape as that of a scalar, and would write
// the -1 of an unknown side without a name as if it were its length.
bool is_faithful(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info) {
  std::size_t rank = 0;
  check(api, api.GetDimensionsCount(info, &rank));
  if (rank == 0 || rank > kMaxRank) return false;
  std::array<std::int64_t, kMaxRank> sides;
  std::array<const char*, kMaxRank> names;
  check(api, api.GetDimensions(info, sides.data(), rank));
  check(api, api.GetSymbolicDimensions(info, names.data(), rank));
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (sides[axis] < 0 && *names[axis] == '\0') return false;
  }
  return true;
}

}  // namespace

void infer_shape_of_result(const OrtApi& api, OrtShapeInferContext* context) {
  OrtTensorTypeAndShapeInfo* info = nullptr;  // the context's
  check(api, api.ShapeInferContext_GetInputTypeShape(context, 0, &info));
  if (is_faithful(api, info)) check(api, api.ShapeInferContext_SetOutputTypeShape(context, 0, info));
}

}  // namespace onnx_snn

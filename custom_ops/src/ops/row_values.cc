// SPDX-License-Identifier: Apache-2.0
#include "ops/row_values.h"

#include <algorithm>

namespace onnx_snn {

RowValues::RowValues(const Tensor& tensor, const Shape& x) : values_(tensor.values) {
  const std::size_t rank = std::min(tensor.shape.rank, x.rank);
  std::size_t contiguous = 1;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const std::size_t side = tensor.shape.sides[tensor.shape.rank - 1 - axis];
    const std::size_t stride = side == 1 ? 0 : contiguous;
    contiguous *= side;
    if (axis == 0) {
      stride_ = stride;
      continue;
    }
    sides_[axis - 1] = x.sides[x.rank - 1 - axis];
    strides_[axis - 1] = stride;
    if (stride != 0) axes_ = axis;
  }
}

}  // namespace onnx_snn

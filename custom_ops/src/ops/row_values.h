// SPDX-License-Identifier: Apache-2.0
// The values of a tensor that broadcasts into x, along each row (the last axis) of x.
#pragma once

#include <array>
#include <cstddef>

#include "kernels/kernels.h"
#include "ort/ort.h"

namespace onnx_snn {

class RowValues {
 public:
  RowValues() = default;  // no values
  RowValues(const Tensor& tensor, const Shape& x);

  // Whether all rows have the same values.
  bool shared() const { return axes_ == 0; }

  Along along(std::size_t row) const {
    std::size_t offset = 0;
    for (std::size_t axis = 0; axis < axes_; ++axis) {
      offset += row % sides_[axis] * strides_[axis];
      row /= sides_[axis];
    }
    return {values_ + offset, stride_};
  }

 private:
  const float* values_ = nullptr;
  std::size_t stride_ = 0;
  // All axes of x but the last, innermost first, up to the outermost along which the values differ.
  std::array<std::size_t, kMaxRank> sides_;
  std::array<std::size_t, kMaxRank> strides_;
  std::size_t axes_ = 0;
};

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Broadcasting one tensor against another: whether it can be, and the runs of elements along which the broadcast tensor
// is constant or contiguous.
#pragma once

#include <array>
#include <cstddef>

#include "ort/shape.h"

namespace onnx_snn {

// Whether `from` broadcasts into `into` without making it larger. Extra leading sides of 1 are allowed: numpy would add
// them to the shape of the result, which has the same elements.
bool broadcasts(const Shape& from, const Shape& into);

// The runs of a tensor of shape `into` against one of shape `from` that broadcasts into it.
class Runs {
 public:
  Runs(const Shape& from, const Shape& into);

  std::size_t length() const { return length_; }  // elements of a run
  std::size_t count() const { return count_; }    // runs of the tensor
  std::size_t stride() const { return stride_; }  // 0: the other tensor is constant along a run, 1: it is contiguous

  // Calls visit(run, offset), offset that of the other tensor, for the runs from `first` up to `last`.
  template <class Visit>
  void each(std::size_t first, std::size_t last, Visit visit) const {
    std::array<std::size_t, kMaxRank> position;
    std::size_t offset = 0;
    std::size_t rest = first;
    for (std::size_t axis = outer_axes_; axis-- > 0;) {
      position[axis] = rest % outer_[axis].side;
      rest /= outer_[axis].side;
      offset += position[axis] * outer_[axis].stride;
    }
    for (std::size_t run = first; run < last; ++run) {
      visit(run, offset);
      for (std::size_t axis = outer_axes_; axis-- > 0;) {
        offset += outer_[axis].stride;
        if (++position[axis] < outer_[axis].side) break;
        offset -= position[axis] * outer_[axis].stride;
        position[axis] = 0;
      }
    }
  }

 private:
  struct Axis {
    std::size_t side;
    std::size_t stride;
  };
  std::array<Axis, kMaxRank> outer_;
  std::size_t outer_axes_ = 0;
  std::size_t length_ = 1, count_ = 1, stride_ = 0;
};

}  // namespace onnx_snn

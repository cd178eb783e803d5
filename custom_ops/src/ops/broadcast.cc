// SPDX-License-Identifier: Apache-2.0
#include "ops/broadcast.h"

namespace onnx_snn {
namespace {

// Side of `shape` at `axis` counted from the last; 1 where it has no such axis.
std::size_t side_from_end(const Shape& shape, std::size_t axis) {
  return axis < shape.rank ? shape.sides[shape.rank - 1 - axis] : 1;
}

}  // namespace

bool broadcasts(const Shape& from, const Shape& into) {
  for (std::size_t axis = 0; axis < from.rank; ++axis) {
    const std::size_t side = side_from_end(from, axis);
    if (side != 1 && (axis >= into.rank || side != side_from_end(into, axis))) return false;
  }
  return true;
}

Runs::Runs(const Shape& from, const Shape& into) {
  // From the last axis outwards, an axis that continues the one before it is merged into it. `merged[0]` is the run.
  std::array<Axis, kMaxRank + 1> merged{Axis{1, 0}};
  std::size_t last = 0;
  std::size_t contiguous = 1;
  for (std::size_t axis = 0; axis < into.rank; ++axis) {
    const std::size_t side = side_from_end(into, axis);
    if (side == 1) continue;
    const bool walks = side_from_end(from, axis) != 1;
    const std::size_t stride = walks ? contiguous : 0;
    if (walks) contiguous *= side;
    Axis& inner = merged[last];
    if (inner.side == 1) {
      inner = {side, stride};
    } else if (stride == inner.stride * inner.side) {
      inner.side *= side;
    } else {
      merged[++last] = {side, stride};
    }
  }
  length_ = merged[0].side;
  stride_ = merged[0].stride;
  outer_axes_ = last;
  for (std::size_t axis = 0; axis < last; ++axis) {
    outer_[axis] = merged[last - axis];
    count_ *= outer_[axis].side;
  }
}

}  // namespace onnx_snn

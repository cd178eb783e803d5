// SPDX-License-Identifier: Apache-2.0
// The shape of a tensor.
#pragma once

#include <array>
#include <cstddef>

namespace onnx_snn {

inline constexpr std::size_t kMaxRank = 16;

// Sides of a tensor, outermost first.
struct Shape {
  std::size_t rank = 0;
  std::array<std::size_t, kMaxRank> sides{};

  std::size_t elements() const {
    std::size_t count = 1;
    for (std::size_t axis = 0; axis < rank; ++axis) count *= sides[axis];
    return count;
  }
};

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Elements are evaluated in blocks, whose intermediate values stay in the first-level cache.
#pragma once

#include <cstddef>

#include "kernels/kernels.h"

namespace onnx_snn {

// Elements of a block: a multiple of the lanes of every instruction set, and of the rows in which levels are counted.
inline constexpr std::size_t kBlock = 128;

template <class T>
using Block = T[kBlock];

// Calls visit(first, count, scale) for blocks of up to kBlock elements, with the scale of each.
template <class Visit>
void each_block(const Scale& scale, std::size_t count, Visit visit) {
  for (std::size_t first = 0; first < count; first += kBlock) {
    Scale here = scale;
    if (here.along.stride != 0) here.along.values += first;
    visit(first, count - first < kBlock ? count - first : kBlock, here);
  }
}

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Elements are evaluated in blocks, whose intermediate values stay in the first-level cache.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/kernels.h"

namespace onnx_snn {

// Elements of a block: a multiple of the lanes of every instruction set, and of the rows in which levels are counted.
inline constexpr std::size_t kBlock = 128;

template <class T>
using Block = T[kBlock];

// Calls visit(first, count, scale) for blocks of up to kSize elements, with the scale of each.
template <std::size_t kSize = kBlock, class Visit>
void each_block(const Scale& scale, std::size_t count, Visit visit) {
  for (std::size_t first = 0; first < count; first += kSize) {
    Scale here = scale;
    if (here.along.stride != 0) here.along.values += first;
    visit(first, count - first < kSize ? count - first : kSize, here);
  }
}

// Calls visit(x, y, count, scale) for blocks of up to kSize elements, all of whole vectors of kLanes lanes: the last
// one is padded with NaN, which never fires.
template <std::size_t kSize, std::size_t kLanes, class Visit>
void each_padded_block(const Scale& scale, const float* x, float* y, std::size_t count, Visit visit) {
  each_block<kSize>(scale, count, [&](std::size_t first, std::size_t size, const Scale& here) {
    const std::size_t vectors = (size + kLanes - 1) / kLanes * kLanes;
    if (vectors == size) return visit(x + first, y + first, size, here);
    alignas(64) float padded[kSize], scales[kSize];
    std::fill(std::copy_n(x + first, size, padded), padded + vectors, __builtin_nanf(""));
    Scale padded_scale = here;
    // Scales that are all 1 are not read, and may be fewer than the elements.
    if (here.kind != Rescaling::kNone && here.along.stride != 0) {
      std::fill(std::copy_n(here.along.values, size, scales), scales + vectors, 1.0f);
      padded_scale.along.values = scales;
    }
    visit(padded, padded, vectors, padded_scale);
    std::copy_n(padded, size, y + first);
  });
}

}  // namespace onnx_snn

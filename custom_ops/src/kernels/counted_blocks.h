// SPDX-License-Identifier: Apache-2.0
// Blocks of elements whose spikes wait in bytes to be counted.
#pragma once

#include "counting/count_levels.h"
#include "kernels/blocks.h"

namespace onnx_snn {

// Calls visit(x, y, count, scale, waiting) for blocks of up to kSize elements in whole vectors, to write the waiting
// bytes of each element.
template <class Simd, std::size_t kSize, class Visit>
void each_counted_block(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                        LevelCounts& counts, Visit visit) {
  each_padded_block<kSize, Simd::kLanes>(
      scale, x, y, count, [&](const float* from, float* to, std::size_t size, const Scale& here) {
        visit(from, to, size, here, wait_for_count<typename Simd::Bytes>(counts, neuron, size));
      });
}

// Stores spike words as waiting bytes, two where they have high bits.
template <class Simd>
void store_word(bool high, const WaitingBytes& waiting, std::size_t i, typename Simd::Index word) {
  if (!high) return Simd::store_bytes(waiting.low + i, word);
  Simd::store_bytes(waiting.low + i, Simd::both(word, Simd::broadcast_index(0xFF)));
  Simd::store_bytes(waiting.high + i, Simd::template shift_right<kBitsOfByte>(word));
}

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// All kernels of one instruction set, from what its Simd class offers.
#pragma once

#include "normalize.h"
#include "softmax.h"

namespace onnx_snn {

template <class Simd>
constexpr Kernels kernels_of(const char* name) {
  return {name, evaluate<Simd>, unpack_levels<typename Simd::Bytes>, softmax<Simd>, normalize<Simd>};
}

}  // namespace onnx_snn

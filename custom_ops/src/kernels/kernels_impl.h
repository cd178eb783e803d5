// SPDX-License-Identifier: Apache-2.0
// Builds the table of kernels for one Simd class.
#pragma once

#include "kernels/count_beyond.h"
#include "kernels/normalize.h"
#include "kernels/softmax.h"

namespace onnx_snn {

// `name` is the value of ONNX_SNN_ISA that asks for this table.
template <class Simd>
constexpr Kernels kernels_of(const char* name) {
  return {name, evaluate<Simd>, watch<Simd>, unpack_levels<typename Simd::Bytes>, softmax<Simd>, normalize<Simd>};
}

}  // namespace onnx_snn

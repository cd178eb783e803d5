// SPDX-License-Identifier: Apache-2.0
#include "instruction_sets.h"
#include "interleaved.h"
#include "kernels_impl.h"
#include "simd_avx512.h"

namespace onnx_snn {
const Kernels kAvx512Kernels = kernels_of<Interleaved<Avx512>>("avx512");
}

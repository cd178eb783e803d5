// SPDX-License-Identifier: Apache-2.0
// All kernels for x86 processors with AVX-512 F, VL, DQ and BW. CMakeLists.txt sets the compiler flags of this file.
#include "kernels/interleaved.h"
#include "kernels/kernels_impl.h"
#include "simd/instruction_sets.h"
#include "simd/simd_avx512.h"

namespace onnx_snn {
const Kernels kAvx512Kernels = kernels_of<Interleaved<Avx512>>("avx512");
}

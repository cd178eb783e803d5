// SPDX-License-Identifier: Apache-2.0
// All kernels for x86 processors with AVX2 and FMA. CMakeLists.txt sets the compiler flags of this file.
#include "kernels/interleaved.h"
#include "kernels/kernels_impl.h"
#include "simd/instruction_sets.h"
#include "simd/simd_avx2.h"

namespace onnx_snn {
const Kernels kAvx2Kernels = kernels_of<Interleaved<Avx2>>("avx2");
}

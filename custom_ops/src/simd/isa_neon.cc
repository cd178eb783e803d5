// SPDX-License-Identifier: Apache-2.0
// All kernels for 64-bit ARM processors.
#include "kernels/interleaved.h"
#include "kernels/kernels_impl.h"
#include "simd/instruction_sets.h"
#include "simd/simd_neon.h"

namespace onnx_snn {
const Kernels kNeonKernels = kernels_of<Interleaved<Neon>>("neon");
}

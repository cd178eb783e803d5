// SPDX-License-Identifier: Apache-2.0
#include "instruction_sets.h"
#include "interleaved.h"
#include "kernels_impl.h"
#include "simd_neon.h"

namespace onnx_snn {
const Kernels kNeonKernels = kernels_of<Interleaved<Neon>>("neon");
}

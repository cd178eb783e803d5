// SPDX-License-Identifier: Apache-2.0
// All kernels for any processor.
#include "kernels/kernels_impl.h"
#include "simd/instruction_sets.h"
#include "simd/simd_baseline.h"

namespace onnx_snn {
const Kernels kBaselineKernels = kernels_of<Baseline>("baseline");
}

// SPDX-License-Identifier: Apache-2.0
#include "instruction_sets.h"
#include "kernels_impl.h"
#include "simd_baseline.h"

namespace onnx_snn {
const Kernels kBaselineKernels = kernels_of<Baseline>("baseline");
}

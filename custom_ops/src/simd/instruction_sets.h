// SPDX-License-Identifier: Apache-2.0
// The tables of kernels that are built for this architecture: one isa_*.cc defines each.
#pragma once

#include "kernels/kernels.h"

namespace onnx_snn {

#if defined(__x86_64__)
#define ONNX_SNN_X86 1
extern const Kernels kAvx512Kernels;
extern const Kernels kAvx2Kernels;
#elif defined(__aarch64__)
#define ONNX_SNN_NEON 1
extern const Kernels kNeonKernels;
#endif
extern const Kernels kBaselineKernels;

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Chooses the kernels of one instruction set when they are first used.
#pragma once

#include "kernels/kernels.h"

namespace onnx_snn {

// The kernels of the widest instruction set that this processor has, or of the one that the environment variable
// ONNX_SNN_ISA names (baseline, avx2, avx512, neon), if the processor has it.
const Kernels& kernels();

}  // namespace onnx_snn

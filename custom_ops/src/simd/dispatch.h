// SPDX-License-Identifier: Apache-2.0
// Chooses the kernels of one instruction set when they are first used.
#pragma once

#include <string>

#include "kernels/kernels.h"

namespace onnx_snn {

// The kernels of the widest instruction set that this processor has, or of the one that the environment variable
// ONNX_SNN_ISA names (baseline, avx2, avx512, neon).
const Kernels& kernels();

// What is wrong with ONNX_SNN_ISA, where it names no instruction set or one that this processor does not have; else
// empty.
std::string missing_instruction_set();

}  // namespace onnx_snn

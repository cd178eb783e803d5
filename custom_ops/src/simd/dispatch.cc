// SPDX-License-Identifier: Apache-2.0
#include "simd/dispatch.h"

#include <cstdlib>
#include <vector>

#include "simd/instruction_sets.h"
#include "simd/x86_features.h"

namespace onnx_snn {
namespace {

// What this processor can run, the widest first.
std::vector<const Kernels*> available() {
  std::vector<const Kernels*> found;
#if defined(ONNX_SNN_X86)
  if (has_avx512()) found.push_back(&kAvx512Kernels);
  if (has_avx2()) found.push_back(&kAvx2Kernels);
#elif defined(ONNX_SNN_NEON)
  found.push_back(&kNeonKernels);
#endif
  found.push_back(&kBaselineKernels);
  return found;
}

// The instruction set that is asked for; empty for none.
std::string wanted() {
  const char* const name = std::getenv("ONNX_SNN_ISA");
  return name == nullptr ? "" : name;
}

// The kernels that are asked for, else the widest; null where those that are asked for are not there.
const Kernels* choose() {
  const std::vector<const Kernels*> choices = available();
  const std::string name = wanted();
  if (name.empty()) return choices[0];
  for (const Kernels* each : choices) {
    if (each->name == name) return each;
  }
  return nullptr;
}

}  // namespace

std::string missing_instruction_set() {
  if (choose() != nullptr) return "";
  std::string names;
  for (const Kernels* each : available()) names += (names.empty() ? "" : ", ") + std::string(each->name);
  return "ONNX_SNN_ISA is '" + wanted() + "'; expected one that this processor runs: " + names + "; or unset it";
}

const Kernels& kernels() {
  static const Kernels* const chosen = choose() != nullptr ? choose() : available()[0];
  return *chosen;
}

}  // namespace onnx_snn

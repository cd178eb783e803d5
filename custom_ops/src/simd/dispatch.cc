// SPDX-License-Identifier: Apache-2.0
#include "simd/dispatch.h"

#include <cstdlib>
#include <cstring>

#include "simd/instruction_sets.h"

namespace onnx_snn {
namespace {

#if defined(ONNX_SNN_X86)
bool has_avx512() {
#if defined(ONNX_SNN_EMULATE_AVX512)
  return true;
#else
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#endif
}
#endif

// The kernels that ONNX_SNN_ISA names, if this processor can run them, else the widest that it can run.
const Kernels& choose() {
  const Kernels* available[4];
  std::size_t count = 0;
#if defined(ONNX_SNN_X86)
  if (has_avx512()) available[count++] = &kAvx512Kernels;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) available[count++] = &kAvx2Kernels;
#elif defined(ONNX_SNN_NEON)
  available[count++] = &kNeonKernels;
#endif
  available[count++] = &kBaselineKernels;
  if (const char* wanted = std::getenv("ONNX_SNN_ISA")) {
    for (std::size_t i = 0; i < count; ++i) {
      if (std::strcmp(available[i]->name, wanted) == 0) return *available[i];
    }
  }
  return *available[0];
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace onnx_snn

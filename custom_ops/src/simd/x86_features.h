// SPDX-License-Identifier: Apache-2.0
// What an x86-64 processor and its system can run, by CPUID and XCR0 (Intel 64 and IA-32 Architectures Software
// Developer's Manual, volume 2, CPUID and XGETBV). Not every compiler's runtime fills in what __builtin_cpu_supports
// reads.
#pragma once

#include "simd/instruction_sets.h"

#if defined(ONNX_SNN_X86)
#include <cpuid.h>

#include <cstdint>

namespace onnx_snn {

// Whether all bits of `mask` are set.
constexpr bool has_all(std::uint64_t bits, std::uint64_t mask) { return (bits & mask) == mask; }

constexpr std::uint64_t bit(int index) { return std::uint64_t{1} << index; }

// The registers whose contents the system saves: bits 1 and 2 for 256-bit vectors, 5 to 7 for 512-bit ones and masks.
inline std::uint64_t saved_registers() {
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

constexpr std::uint64_t kVectors256 = bit(1) | bit(2);
constexpr std::uint64_t kVectors512 = kVectors256 | bit(5) | bit(6) | bit(7);

// Whether the processor has all features `leaf7` of leaf 7 (EBX) and FMA, and the system saves `registers`.
inline bool has_features(std::uint64_t leaf7, std::uint64_t registers) {
  constexpr std::uint64_t kFma = bit(12), kOsxsave = bit(27), kAvx = bit(28);
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !has_all(ecx, kFma | kOsxsave | kAvx)) return false;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !has_all(ebx, leaf7)) return false;
  return has_all(saved_registers(), registers);
}

inline bool has_avx2() { return has_features(bit(5), kVectors256); }

// AVX-512 F, DQ, BW and VL.
inline bool has_avx512() {
#if defined(ONNX_SNN_EMULATE_AVX512)
  return true;
#else
  return has_features(bit(5) | bit(16) | bit(17) | bit(30) | bit(31), kVectors512);
#endif
}

}  // namespace onnx_snn
#endif

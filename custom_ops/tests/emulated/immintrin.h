// SPDX-License-Identifier: Apache-2.0
// AVX-512 by SIMDe, for processors that do not have it: tests compile the kernels against this instead of the
// compiler's header. What SIMDe 0.7.4 lacks is here.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cmath>
#include <cstdint>

using __mmask16 = simde__mmask16;
using __mmask64 = simde__mmask64;

#define _MM_FROUND_NO_EXC SIMDE_MM_FROUND_NO_EXC

// SIMDe's own rounds wrongly with the flag for exceptions; the kernels only ever round down.
#undef _mm512_roundscale_ps
inline __m512 _mm512_roundscale_ps(__m512 v, int) {
  auto lanes = simde__m512_to_private(v);
  for (int i = 0; i < 16; ++i) lanes.f32[i] = std::floor(lanes.f32[i]);
  return simde__m512_from_private(lanes);
}

// SIMDe rounds the product too.
#undef _mm512_fmadd_ps
#undef _mm512_fmsub_ps

inline __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) {
  auto x = simde__m512_to_private(a);
  const auto y = simde__m512_to_private(b), z = simde__m512_to_private(c);
  for (int i = 0; i < 16; ++i) x.f32[i] = std::fma(x.f32[i], y.f32[i], z.f32[i]);
  return simde__m512_from_private(x);
}

inline __m512 _mm512_fmsub_ps(__m512 a, __m512 b, __m512 c) {
  return _mm512_fmadd_ps(a, b, simde_mm512_xor_ps(c, simde_mm512_set1_ps(-0.0f)));
}

inline __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const float* p) {
  simde__m512_private lanes;
  for (int i = 0; i < 16; ++i) lanes.f32[i] = mask >> i & 1 ? p[i] : 0;
  return simde__m512_from_private(lanes);
}

inline void _mm512_mask_storeu_ps(float* p, __mmask16 mask, __m512 v) {
  const auto lanes = simde__m512_to_private(v);
  for (int i = 0; i < 16; ++i) {
    if (mask >> i & 1) p[i] = lanes.f32[i];
  }
}

inline __m512i _mm512_cvttps_epi32(__m512 v) {
  const auto from = simde__m512_to_private(v);
  simde__m512i_private to;
  for (int i = 0; i < 16; ++i) to.i32[i] = from.f32[i] == from.f32[i] ? static_cast<int>(from.f32[i]) : INT32_MIN;
  return simde__m512i_from_private(to);
}

inline __m512 _mm512_cvtepi32_ps(__m512i v) {
  const auto from = simde__m512i_to_private(v);
  simde__m512_private to;
  for (int i = 0; i < 16; ++i) to.f32[i] = static_cast<float>(from.i32[i]);
  return simde__m512_from_private(to);
}

inline std::int32_t _mm512_reduce_add_epi32(__m512i v) {
  const auto lanes = simde__m512i_to_private(v);
  std::int32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += lanes.i32[i];
  return sum;
}

inline std::int64_t _mm512_reduce_add_epi64(__m512i v) {
  const auto lanes = simde__m512i_to_private(v);
  std::int64_t sum = 0;
  for (int i = 0; i < 8; ++i) sum += lanes.i64[i];
  return sum;
}

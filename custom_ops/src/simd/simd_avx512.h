// SPDX-License-Identifier: Apache-2.0
// Sixteen float32 lanes of AVX-512. The other simd_*.h have the same functions; what each does is described here.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/segment_bank.h"
#include "neuron/neuron.h"

namespace onnx_snn {

// Vectors of bytes; counting/byte_lanes.h says what each function does.
struct Avx512Bytes {
  static constexpr std::size_t kLanes = 64;
  using Vector = __m512i;
  using Mask = __mmask64;

  static Vector broadcast(std::uint8_t value) { return _mm512_set1_epi8(static_cast<char>(value)); }
  static Vector load(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
  static void store(std::uint8_t* p, Vector v) { _mm512_storeu_si512(p, v); }

  static Mask equal(Vector a, Vector b) { return _mm512_cmpeq_epi8_mask(a, b); }
  static Mask both(Mask a, Mask b) { return a & b; }
  static Vector keep(Mask where, Vector v) { return _mm512_maskz_mov_epi8(where, v); }
  static Vector add(Vector a, Vector b) { return _mm512_add_epi8(a, b); }
  static Vector larger(Vector a, Vector b) { return _mm512_max_epu8(a, b); }
  static bool any(Mask mask) { return mask != 0; }

  template <int kBits>
  static Vector shift_left(Vector v) {
    return _mm512_and_si512(_mm512_slli_epi16(v, kBits), broadcast(static_cast<std::uint8_t>(0xFF << kBits)));
  }
  template <int kBits>
  static Vector shift_right(Vector v) {
    return _mm512_and_si512(_mm512_srli_epi16(v, kBits), broadcast(0xFF >> kBits));
  }
  static Vector low_nibbles(Vector v) { return _mm512_and_si512(v, broadcast(15)); }
  static Vector either(Vector a, Vector b) { return _mm512_or_si512(a, b); }
  static Vector exclusive_or(Vector a, Vector b) { return _mm512_xor_si512(a, b); }
  static Vector differing(Vector a, Vector b, Vector mask) { return _mm512_and_si512(_mm512_xor_si512(a, b), mask); }

  static std::int64_t sum(Vector v) { return _mm512_reduce_add_epi64(_mm512_sad_epu8(v, _mm512_setzero_si512())); }

  // Truth tables, of a = 0xF0, b = 0xCC and c = 0xAA.
  static Vector parity(Vector a, Vector b, Vector c) { return _mm512_ternarylogic_epi32(a, b, c, 0x96); }
  static Vector majority(Vector a, Vector b, Vector c) { return _mm512_ternarylogic_epi32(a, b, c, 0xE8); }
};

struct Avx512 {
  static constexpr std::size_t kLanes = 16;
  using Float = __m512;
  using Index = __m512i;
  using Mask = __mmask16;
  using Bytes = Avx512Bytes;

  static Float broadcast(float value) { return _mm512_set1_ps(value); }
  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Float v) { _mm512_storeu_ps(p, v); }

  // The first `count` lanes; the others load as 0 and are not stored.
  static Float load(const float* p, std::size_t count) { return _mm512_maskz_loadu_ps(first(count), p); }
  static void store(float* p, Float v, std::size_t count) { _mm512_mask_storeu_ps(p, first(count), v); }

  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float subtract(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float divide(Float a, Float b) { return _mm512_div_ps(a, b); }

  // 1 / v of powers of two from 2**-126 to 2**126: the exponents of the two add up to twice the bias.
  static Float reciprocal_of_power(Float v) {
    return _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_set1_epi32(0x7F000000), _mm512_castps_si512(v)));
  }

  static Mask less(Float a, Float b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static Mask at_least(Float a, Float b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
  static Mask is_nan(Float v) { return _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q); }
  static Float negate(Mask where, Float v) { return _mm512_mask_xor_ps(v, where, v, _mm512_set1_ps(-0.0f)); }
  static Float select(Mask where, Float a, Float b) { return _mm512_mask_blend_ps(where, b, a); }

  // floor(v) for |v| < 2**31, and 2**v for whole v from -126 to 127; anything for NaN.
  static Float floor(Float v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  static Float power_of_two(Float v) {
    const __m512i exponent = _mm512_add_epi32(_mm512_cvttps_epi32(v), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
  }

  // clip(v, 0, top), 0 for NaN; and the whole part of a number clipped so.
  static Float clip(Float v, Float top) { return _mm512_min_ps(_mm512_max_ps(v, _mm512_setzero_ps()), top); }
  static Float whole(Float v) { return _mm512_cvtepi32_ps(_mm512_cvttps_epi32(v)); }

  // a * b + c and a * b - c, rounded once.
  static Float multiply_add(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float multiply_subtract(Float a, Float b, Float c) { return _mm512_fmsub_ps(a, b, c); }

  // Unsigned whole numbers: the whole part of floats from 0 to below 2**24, and back.
  static Index broadcast_index(std::uint32_t value) { return _mm512_set1_epi32(static_cast<std::int32_t>(value)); }
  static Index truncate(Float v) { return _mm512_cvttps_epi32(v); }
  static Float to_float(Index v) { return _mm512_cvtepi32_ps(v); }

  // a - b modulo 2**32, the smaller of a and b, and their common bits and all their bits.
  static Index subtract(Index a, Index b) { return _mm512_sub_epi32(a, b); }
  static Index smaller(Index a, Index b) { return _mm512_min_epu32(a, b); }
  static Index both(Index a, Index b) { return _mm512_and_si512(a, b); }
  static Index either(Index a, Index b) { return _mm512_or_si512(a, b); }
  template <int kBits>
  static Index shift_left(Index v) {
    return _mm512_slli_epi32(v, kBits);
  }
  template <int kBits>
  static Index shift_right(Index v) {
    return _mm512_srli_epi32(v, kBits);
  }

  // v + 1 where the mask is set, else v; and 0 where it is set, else v.
  static Index increase(Index v, Mask where) { return _mm512_mask_add_epi32(v, where, v, _mm512_set1_epi32(1)); }
  static Index clear(Mask where, Index v) { return _mm512_maskz_mov_epi32(static_cast<Mask>(~where), v); }

  // Stores the lanes of two or four vectors, numbers up to 255, as bytes. Their order may be any, if it is the same in
  // every call.
  static void store_bytes(std::uint8_t* p, Index a, Index b) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + kLanes), _mm512_cvtepi32_epi8(b));
  }
  static void store_bytes(std::uint8_t* p, Index a, Index b, Index c, Index d) {
    _mm512_storeu_si512(p, _mm512_packus_epi16(_mm512_packus_epi32(a, b), _mm512_packus_epi32(c, d)));
  }

  // kCount floats in a register, 4 or 8, looked up by the numbers from 0.
  template <std::size_t kCount>
  class Lookup {
   public:
    explicit Lookup(const float* values)
        : values_(kCount == 4 ? _mm512_broadcast_f32x4(_mm_load_ps(values))
                              : _mm512_broadcast_f32x8(_mm256_loadu_ps(values))) {}
    Float operator[](Index i) const {
      return kCount == 4 ? _mm512_permutevar_ps(values_, i) : _mm512_permutexvar_ps(i, values_);
    }

   private:
    static_assert(kCount == 4 || kCount == 8);
    __m512 values_;
  };

  // A path down a search tree in heap order: the root, and the right or left child.
  static Index root() { return _mm512_set1_epi32(1); }
  static Index child(Index node, Mask right) {
    const Index left = _mm512_add_epi32(node, node);
    return _mm512_mask_add_epi32(left, right, left, _mm512_set1_epi32(1));
  }
  static void store_index(std::int32_t* p, Index v) { _mm512_storeu_si512(p, v); }
  static Index load_index(const std::int32_t* p) { return _mm512_loadu_si512(p); }

  // 2**kDepth floats in registers, looked up by leaves in memory: entry n by leaf 2**kDepth + n.
  template <std::size_t kDepth>
  class Table {
   public:
    explicit Table(const float* values) : Table(_mm512_loadu_ps(values), _mm512_loadu_ps(values + 16)) {}
    Table(Float low, Float high) : low_(low), high_(high) {}
    Float operator[](const std::int32_t* leaf) const { return (*this)[load_index(leaf)]; }
    Float operator[](Index leaf) const {
      if constexpr (kDepth == 5) return _mm512_permutex2var_ps(low_, leaf, high_);
      // The permutation looks at four bits of an index; a leaf of the shallowest tree is 8 + n.
      const Index index = kDepth == 3 ? _mm512_sub_epi32(leaf, _mm512_set1_epi32(8)) : leaf;
      return _mm512_permutexvar_ps(index, low_);
    }

   private:
    static_assert(kDepth >= 3 && kDepth <= 5);
    Float low_, high_;
  };

  // 2**kDepth segments, looked up likewise.
  template <std::size_t kDepth>
  class SegmentTable {
   public:
    explicit SegmentTable(const Segment* segments)
        : u_rest_(field<0>(segments)),
          gain_(field<1>(segments)),
          weight_(field<2>(segments)),
          base_(field<3>(segments)) {}
    SegmentOf<Float> operator[](const std::int32_t* leaf) const {
      const Index i = load_index(leaf);
      return {u_rest_[i], gain_[i], weight_[i], base_[i]};
    }

   private:
    template <int kField>
    static Table<kDepth> field(const Segment* segments) {
      return {sixteen<kField>(segments), sixteen<kField>(segments + 16)};
    }
    template <int kField>
    static Float sixteen(const Segment* segments) {
      const __m512 low = eight<kField>(segments), high = eight<kField>(segments + 8);
      return _mm512_insertf32x8(low, _mm512_castps512_ps256(high), 1);
    }
    // One field of eight segments, in the lower eight lanes.
    template <int kField>
    static Float eight(const Segment* segments) {
      constexpr int f = kField;
      const __m512i i =
          _mm512_setr_epi32(f, f + 4, f + 8, f + 12, f + 16, f + 20, f + 24, f + 28, 0, 0, 0, 0, 0, 0, 0, 0);
      return _mm512_permutex2var_ps(_mm512_loadu_ps(&segments[0].u_rest), i, _mm512_loadu_ps(&segments[4].u_rest));
    }

    Table<kDepth> u_rest_, gain_, weight_, base_;
  };

  // The splits of a search tree: levels 0 to 3 in one register, level 4 in another.
  template <std::size_t kDepth>
  class Tree {
   public:
    explicit Tree(const float* splits)
        : root_(_mm512_set1_ps(splits[1])), low_(_mm512_loadu_ps(splits)), high_(_mm512_loadu_ps(splits + 16)) {}
    template <std::size_t kLevel>
    Float split(Index node) const {
      if constexpr (kLevel == 0) return root_;
      return _mm512_permutexvar_ps(node, kLevel <= 3 ? low_ : high_);
    }

   private:
    __m512 root_, low_, high_;
  };

 private:
  static Mask first(std::size_t count) { return static_cast<Mask>((1u << count) - 1); }
};

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// Eight float32 lanes of AVX2 with FMA; simd_avx512.h says what each function does.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "counting/byte_lanes.h"
#include "kernels/segment_bank.h"
#include "neuron/neuron.h"

namespace onnx_snn {

struct Avx2Bytes : ByteLanes<32> {
  static std::int64_t sum(const Vector& v) {
    const __m256i sums = _mm256_sad_epu8(reinterpret_cast<__m256i>(v), _mm256_setzero_si256());
    const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    return _mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1);
  }
};

struct Avx2 {
  static constexpr std::size_t kLanes = 8;
  using Float = __m256;
  using Index = __m256i;
  using Mask = __m256;
  using Bytes = Avx2Bytes;

  static Float broadcast(float value) { return _mm256_set1_ps(value); }
  static Float load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Float v) { _mm256_storeu_ps(p, v); }
  static Float load(const float* p, std::size_t count) { return _mm256_maskload_ps(p, first(count)); }
  static void store(float* p, Float v, std::size_t count) { _mm256_maskstore_ps(p, first(count), v); }

  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float subtract(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float divide(Float a, Float b) { return _mm256_div_ps(a, b); }
  static Float reciprocal_of_power(Float v) {
    return _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_set1_epi32(0x7F000000), _mm256_castps_si256(v)));
  }

  static Mask less(Float a, Float b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static Mask at_least(Float a, Float b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
  static Mask is_nan(Float v) { return _mm256_cmp_ps(v, v, _CMP_UNORD_Q); }
  static Float negate(Mask where, Float v) { return _mm256_xor_ps(v, _mm256_and_ps(where, _mm256_set1_ps(-0.0f))); }
  static Float select(Mask where, Float a, Float b) { return _mm256_blendv_ps(b, a, where); }

  static Float floor(Float v) { return _mm256_floor_ps(v); }
  static Float power_of_two(Float v) {
    const __m256i exponent = _mm256_add_epi32(_mm256_cvttps_epi32(v), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
  }
  static Float clip(Float v, Float top) { return _mm256_min_ps(_mm256_max_ps(v, _mm256_setzero_ps()), top); }
  static Float whole(Float v) { return _mm256_floor_ps(v); }
  static Float multiply_add(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float multiply_subtract(Float a, Float b, Float c) { return _mm256_fmsub_ps(a, b, c); }

  // Unsigned whole numbers.
  static Index broadcast_index(std::uint32_t value) { return _mm256_set1_epi32(static_cast<std::int32_t>(value)); }
  static Index truncate(Float v) { return _mm256_cvttps_epi32(v); }
  static Float to_float(Index v) { return _mm256_cvtepi32_ps(v); }
  static Index subtract(Index a, Index b) { return _mm256_sub_epi32(a, b); }
  static Index smaller(Index a, Index b) { return _mm256_min_epu32(a, b); }
  static Index both(Index a, Index b) { return _mm256_and_si256(a, b); }
  static Index either(Index a, Index b) { return _mm256_or_si256(a, b); }
  static Index increase(Index v, Mask where) { return _mm256_sub_epi32(v, _mm256_castps_si256(where)); }
  static Index clear(Mask where, Index v) { return _mm256_andnot_si256(_mm256_castps_si256(where), v); }
  template <int kBits>
  static Index shift_left(Index v) {
    return _mm256_slli_epi32(v, kBits);
  }
  template <int kBits>
  static Index shift_right(Index v) {
    return _mm256_srli_epi32(v, kBits);
  }

  // Instructions pack the two halves of a register separately.
  static void store_bytes(std::uint8_t* p, Index a, Index b) {
    const __m256i words = _mm256_packus_epi32(a, b);
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(words, words), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(bytes));
  }
  static void store_bytes(std::uint8_t* p, Index a, Index b, Index c, Index d) {
    const __m256i packed = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), packed);
  }

  template <std::size_t kCount>
  class Lookup {
   public:
    explicit Lookup(const float* values)
        : values_(kCount == 4 ? _mm256_broadcast_ps(reinterpret_cast<const __m128*>(values)) : load(values)) {}
    Float operator[](Index i) const { return kCount == 4 ? _mm256_permutevar_ps(values_, i) : permute(values_, i); }

   private:
    static_assert(kCount == 4 || kCount == 8);
    __m256 values_;
  };

  static Index root() { return _mm256_set1_epi32(1); }
  static Index child(Index node, Mask right) {
    return _mm256_sub_epi32(_mm256_add_epi32(node, node), _mm256_castps_si256(right));
  }
  static void store_index(std::int32_t* p, Index v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static Index load_index(const std::int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  // Eight floats a register. All but the first eight are kept as differences in bits, because next to permutations
  // a mask and an XOR are cheaper than a blend.
  template <std::size_t kDepth>
  class Table {
   public:
    explicit Table(const float* values) {
      const auto eight = [&](std::size_t r) { return _mm256_loadu_ps(values + 8 * r); };
      parts_[0] = eight(0);
      if constexpr (kDepth >= 4) parts_[1] = _mm256_xor_ps(eight(0), eight(1));
      if constexpr (kDepth >= 5) {
        parts_[2] = _mm256_xor_ps(eight(0), eight(2));
        parts_[3] = _mm256_xor_ps(parts_[1], _mm256_xor_ps(eight(2), eight(3)));
      }
    }
    Float operator[](const std::int32_t* leaf) const { return (*this)[load_index(leaf)]; }
    Float operator[](Index leaf) const {
      const auto sixteen = [&](std::size_t r) {
        return combine(permute(parts_[r], leaf), permute(parts_[r + 1], leaf), bit(leaf, 3));
      };
      if constexpr (kDepth == 3) return permute(parts_[0], leaf);
      if constexpr (kDepth == 4) return sixteen(0);
      if constexpr (kDepth == 5) return combine(sixteen(0), sixteen(2), bit(leaf, 4));
    }

   private:
    static_assert(kDepth >= 3 && kDepth <= 5);
    __m256 parts_[std::size_t{1} << (kDepth - 3)];
  };

  // Segments are loaded one by one and transposed, which is faster than one permutation for each field (Zen 3).
  template <std::size_t kDepth>
  class SegmentTable {
   public:
    explicit SegmentTable(const Segment* segments) : segments_(segments - (1 << kDepth)) {}
    SegmentOf<Float> operator[](const std::int32_t* leaf) const {
      const __m256 a = pair(leaf), b = pair(leaf + 1), c = pair(leaf + 2), d = pair(leaf + 3);
      const __m256d ab_low = _mm256_castps_pd(_mm256_unpacklo_ps(a, b)),
                    ab_high = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
      const __m256d cd_low = _mm256_castps_pd(_mm256_unpacklo_ps(c, d)),
                    cd_high = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
      return {_mm256_castpd_ps(_mm256_unpacklo_pd(ab_low, cd_low)),
              _mm256_castpd_ps(_mm256_unpackhi_pd(ab_low, cd_low)),
              _mm256_castpd_ps(_mm256_unpacklo_pd(ab_high, cd_high)),
              _mm256_castpd_ps(_mm256_unpackhi_pd(ab_high, cd_high))};
    }

   private:
    // The segments of lanes i and i + 4, for leaf + i.
    __m256 pair(const std::int32_t* leaf) const {
      const __m256 low = _mm256_castps128_ps256(_mm_load_ps(&segments_[leaf[0]].u_rest));
      return _mm256_insertf128_ps(low, _mm_load_ps(&segments_[leaf[4]].u_rest), 1);
    }

    const Segment* segments_;
  };

  // The splits of a search tree: levels 0 to 2 in one register, level 3 in another, level 4 in two.
  template <std::size_t kDepth>
  class Tree {
   public:
    explicit Tree(const float* splits)
        : root_(_mm256_set1_ps(splits[1])),
          levels_to_2_(_mm256_loadu_ps(splits)),
          level_3_(_mm256_loadu_ps(splits + 8)),
          level_4_(splits + 16) {}
    template <std::size_t kLevel>
    Float split(Index node) const {
      if constexpr (kLevel == 0) return root_;
      if constexpr (kLevel <= 2) return permute(levels_to_2_, node);
      if constexpr (kLevel == 3) return permute(level_3_, node);
      if constexpr (kLevel == 4) return level_4_[node];
    }

   private:
    __m256 root_, levels_to_2_, level_3_;
    Table<4> level_4_;
  };

 private:
  // Looks up by the three lowest bits of the index. The empty asm keeps the table in a register: a permutation that
  // reads its table from memory takes twice as long (Zen 3).
  static Float permute(Float table, Index i) {
    asm("" : "+x"(table));
    return _mm256_permutevar8x32_ps(table, i);
  }
  // The lanes whose index has the bit set.
  static Mask bit(Index i, int position) {
    return _mm256_castsi256_ps(_mm256_srai_epi32(_mm256_slli_epi32(i, 31 - position), 31));
  }
  static Float combine(Float low, Float difference, Mask upper) {
    return _mm256_xor_ps(low, _mm256_and_ps(difference, upper));
  }
  static __m256i first(std::size_t count) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane);
  }
};

}  // namespace onnx_snn

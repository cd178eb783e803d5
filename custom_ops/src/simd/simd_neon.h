// SPDX-License-Identifier: Apache-2.0
// Four float32 lanes of NEON; simd_avx512.h says what each function does.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "counting/byte_lanes.h"
#include "kernels/segment_bank.h"
#include "neuron/neuron.h"

namespace onnx_snn {

struct Neon {
  static constexpr std::size_t kLanes = 4;
  using Float = float32x4_t;
  using Index = int32x4_t;
  using Mask = uint32x4_t;
  using Bytes = ByteLanes<16>;

  static Float broadcast(float value) { return vdupq_n_f32(value); }
  static Float load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, Float v) { vst1q_f32(p, v); }
  static Float load(const float* p, std::size_t count) {
    float lanes[kLanes] = {};
    for (std::size_t i = 0; i < count; ++i) lanes[i] = p[i];
    return vld1q_f32(lanes);
  }
  static void store(float* p, Float v, std::size_t count) {
    float lanes[kLanes];
    vst1q_f32(lanes, v);
    for (std::size_t i = 0; i < count; ++i) p[i] = lanes[i];
  }

  static Float add(Float a, Float b) { return vaddq_f32(a, b); }
  static Float subtract(Float a, Float b) { return vsubq_f32(a, b); }
  static Float multiply(Float a, Float b) { return vmulq_f32(a, b); }
  static Float divide(Float a, Float b) { return vdivq_f32(a, b); }
  static Float reciprocal_of_power(Float v) {
    return vreinterpretq_f32_s32(vsubq_s32(vdupq_n_s32(0x7F000000), vreinterpretq_s32_f32(v)));
  }

  static Mask less(Float a, Float b) { return vcltq_f32(a, b); }
  static Mask at_least(Float a, Float b) { return vcgeq_f32(a, b); }
  static Mask is_nan(Float v) { return vmvnq_u32(vceqq_f32(v, v)); }
  static Float negate(Mask where, Float v) {
    const uint32x4_t sign = vandq_u32(where, vdupq_n_u32(0x80000000));
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(v), sign));
  }
  static Float select(Mask where, Float a, Float b) { return vbslq_f32(where, a, b); }

  static Float floor(Float v) { return vrndmq_f32(v); }
  static Float power_of_two(Float v) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(v), vdupq_n_s32(127)), 23));
  }
  // vmaxnmq gives 0 for NaN, vmaxq would give NaN.
  static Float clip(Float v, Float top) { return vminq_f32(vmaxnmq_f32(v, vdupq_n_f32(0)), top); }
  static Float whole(Float v) { return vrndmq_f32(v); }
  static Float multiply_add(Float a, Float b, Float c) { return vfmaq_f32(c, a, b); }
  static Float multiply_subtract(Float a, Float b, Float c) { return vfmaq_f32(vnegq_f32(c), a, b); }

  static Index broadcast_index(std::uint32_t value) { return vreinterpretq_s32_u32(vdupq_n_u32(value)); }
  static Index truncate(Float v) { return vcvtq_s32_f32(v); }
  static Float to_float(Index v) { return vcvtq_f32_s32(v); }
  static Index subtract(Index a, Index b) { return vsubq_s32(a, b); }
  static Index smaller(Index a, Index b) {
    return vreinterpretq_s32_u32(vminq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)));
  }
  static Index both(Index a, Index b) { return vandq_s32(a, b); }
  static Index either(Index a, Index b) { return vorrq_s32(a, b); }
  static Index increase(Index v, Mask where) { return vsubq_s32(v, vreinterpretq_s32_u32(where)); }
  static Index clear(Mask where, Index v) { return vbicq_s32(v, vreinterpretq_s32_u32(where)); }
  template <int kBits>
  static Index shift_left(Index v) {
    return vshlq_n_s32(v, kBits);
  }
  template <int kBits>
  static Index shift_right(Index v) {
    return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(v), kBits));
  }

  static void store_bytes(std::uint8_t* p, Index a, Index b) { vst1_u8(p, bytes_of(a, b)); }
  static void store_bytes(std::uint8_t* p, Index a, Index b, Index c, Index d) {
    vst1q_u8(p, vcombine_u8(bytes_of(a, b), bytes_of(c, d)));
  }

  static Index root() { return vdupq_n_s32(1); }
  static Index child(Index node, Mask right) { return vsubq_s32(vaddq_s32(node, node), vreinterpretq_s32_u32(right)); }
  static void store_index(std::int32_t* p, Index v) { vst1q_s32(p, v); }
  static Index load_index(const std::int32_t* p) { return vld1q_s32(p); }
  // Sixteen floats as a table of 64 bytes, looked up by the four lowest bits of an index.
  class Sixteen {
   public:
    explicit Sixteen(const float* values) : bytes_(vld1q_u8_x4(reinterpret_cast<const std::uint8_t*>(values))) {}
    Float operator[](Index i) const {
      const uint32x4_t entry = vandq_u32(vreinterpretq_u32_s32(i), vdupq_n_u32(15));
      return vreinterpretq_f32_u8(vqtbl4q_u8(bytes_, bytes_of_entry(entry)));
    }

   private:
    uint8x16x4_t bytes_;
  };

  // Floats as a table of 16 or 32 bytes.
  template <std::size_t kCount>
  class Lookup {
   public:
    explicit Lookup(const float* values) : bytes_(vld1q_u8_x2(reinterpret_cast<const std::uint8_t*>(values))) {}
    Float operator[](Index i) const {
      const uint8x16_t byte = bytes_of_entry(vreinterpretq_u32_s32(i));
      return vreinterpretq_f32_u8(kCount == 4 ? vqtbl1q_u8(bytes_.val[0], byte) : vqtbl2q_u8(bytes_, byte));
    }

   private:
    static_assert(kCount == 4 || kCount == 8);
    uint8x16x2_t bytes_;
  };

  template <std::size_t kDepth>
  class Table {
   public:
    explicit Table(const float* values) : values_(values - (1 << kDepth)) {}
    Float operator[](const std::int32_t* leaf) const {
      const float lanes[kLanes] = {values_[leaf[0]], values_[leaf[1]], values_[leaf[2]], values_[leaf[3]]};
      return vld1q_f32(lanes);
    }

   private:
    const float* values_;
  };

  template <std::size_t kDepth>
  class SegmentTable {
   public:
    explicit SegmentTable(const Segment* segments) : segments_(segments - (1 << kDepth)) {}
    SegmentOf<Float> operator[](const std::int32_t* leaf) const {
      const float32x4x2_t ab = vtrnq_f32(lane(leaf[0]), lane(leaf[1])), cd = vtrnq_f32(lane(leaf[2]), lane(leaf[3]));
      return {vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0])),
              vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1])),
              vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0])),
              vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]))};
    }

   private:
    Float lane(std::int32_t leaf) const { return vld1q_f32(&segments_[leaf].u_rest); }

    const Segment* segments_;
  };

  template <std::size_t kDepth>
  class Tree {
   public:
    explicit Tree(const float* splits) : root_(vdupq_n_f32(splits[1])), low_(splits), high_(splits + 16) {}
    template <std::size_t kLevel>
    Float split(Index node) const {
      if constexpr (kLevel == 0) return root_;
      return kLevel <= 3 ? low_[node] : high_[node];
    }

   private:
    Float root_;
    Sixteen low_, high_;
  };

 private:
  // The lowest byte of each lane.
  static uint8x8_t bytes_of(Index a, Index b) {
    return vmovn_u16(vcombine_u16(vmovn_u32(vreinterpretq_u32_s32(a)), vmovn_u32(vreinterpretq_u32_s32(b))));
  }
  // The four bytes of entry n of a table of floats: 4n, 4n + 1, 4n + 2 and 4n + 3.
  static uint8x16_t bytes_of_entry(uint32x4_t entry) {
    return vreinterpretq_u8_u32(vmlaq_n_u32(vdupq_n_u32(0x03020100), entry, 0x04040404));
  }
};

}  // namespace onnx_snn

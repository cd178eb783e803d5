// SPDX-License-Identifier: Apache-2.0
// One float32 lane of any processor; simd_avx512.h says what each function does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "counting/byte_lanes.h"
#include "kernels/segment_bank.h"
#include "neuron/neuron.h"

namespace onnx_snn {

struct Baseline {
  static constexpr std::size_t kLanes = 1;
  using Float = float;
  using Index = std::int32_t;
  using Mask = bool;
  using Bytes = ByteLanes<16>;

  static Float broadcast(float value) { return value; }
  static Float load(const float* p) { return *p; }
  static void store(float* p, Float v) { *p = v; }
  static Float load(const float* p, std::size_t) { return *p; }
  static void store(float* p, Float v, std::size_t) { *p = v; }

  static Float add(Float a, Float b) { return a + b; }
  static Float subtract(Float a, Float b) { return a - b; }
  static Float multiply(Float a, Float b) { return a * b; }
  static Float divide(Float a, Float b) { return a / b; }
  static Float reciprocal_of_power(Float v) { return 1.0f / v; }

  static Mask less(Float a, Float b) { return a < b; }
  static Mask at_least(Float a, Float b) { return a >= b; }
  static Mask is_nan(Float v) { return v != v; }
  static Float negate(Mask where, Float v) { return where ? -v : v; }
  static Float select(Mask where, Float a, Float b) { return where ? a : b; }

  static Float floor(Float v) {
    const Float finite = v == v ? v : 0;
    const Float truncated = static_cast<Float>(static_cast<std::int32_t>(finite));
    return truncated > finite ? truncated - 1 : truncated;
  }
  static Float power_of_two(Float v) {
    const std::uint32_t bits = static_cast<std::uint32_t>(static_cast<std::int32_t>(v) + 127) << 23;
    Float power;
    std::memcpy(&power, &bits, sizeof power);
    return power;
  }
  static Float clip(Float v, Float top) {
    const Float raised = v > 0 ? v : 0;
    return raised < top ? raised : top;
  }
  static Float whole(Float v) { return static_cast<Float>(static_cast<std::int32_t>(v)); }
  // In float64 the product is exact, and so is the sum of a segmented neuron: one rounding, to float32.
  static Float multiply_add(Float a, Float b, Float c) { return static_cast<Float>(static_cast<double>(a) * b + c); }
  static Float multiply_subtract(Float a, Float b, Float c) {
    return static_cast<Float>(static_cast<double>(a) * b - c);
  }

  static Index broadcast_index(std::uint32_t value) { return static_cast<Index>(value); }
  static Index truncate(Float v) { return static_cast<Index>(v); }
  static Float to_float(Index v) { return static_cast<Float>(v); }
  static Index subtract(Index a, Index b) { return index(bits(a) - bits(b)); }
  static Index smaller(Index a, Index b) { return bits(a) < bits(b) ? a : b; }
  static Index both(Index a, Index b) { return a & b; }
  static Index either(Index a, Index b) { return a | b; }
  static Index increase(Index v, Mask where) { return v + where; }
  static Index clear(Mask where, Index v) { return where ? 0 : v; }
  template <int kBits>
  static Index shift_left(Index v) {
    return index(bits(v) << kBits);
  }
  template <int kBits>
  static Index shift_right(Index v) {
    return index(bits(v) >> kBits);
  }

  static void store_bytes(std::uint8_t* p, Index v) { *p = static_cast<std::uint8_t>(v); }
  static void store_bytes(std::uint8_t* p, Index a, Index b) {
    store_bytes(p, a);
    store_bytes(p + 1, b);
  }

  template <std::size_t kCount>
  class Lookup {
   public:
    explicit Lookup(const float* values) : values_(values) {}
    Float operator[](Index i) const { return values_[i]; }

   private:
    const float* values_;
  };

  static Index root() { return 1; }
  static Index child(Index node, Mask right) { return 2 * node + right; }
  static void store_index(std::int32_t* p, Index v) { *p = v; }
  static Index load_index(const std::int32_t* p) { return *p; }
  template <std::size_t kDepth>
  class Table {
   public:
    explicit Table(const float* values) : values_(values) {}
    Float operator[](const std::int32_t* leaf) const { return values_[*leaf - (1 << kDepth)]; }

   private:
    const float* values_;
  };

  template <std::size_t kDepth>
  class SegmentTable {
   public:
    explicit SegmentTable(const Segment* segments) : segments_(segments) {}
    SegmentOf<Float> operator[](const std::int32_t* leaf) const {
      const Segment& s = segments_[*leaf - (1 << kDepth)];
      return {s.u_rest, s.gain, s.weight, s.base};
    }

   private:
    const Segment* segments_;
  };

  template <std::size_t kDepth>
  class Tree {
   public:
    explicit Tree(const float* splits) : splits_(splits) {}
    template <std::size_t kLevel>
    Float split(Index node) const {
      return splits_[node];
    }

   private:
    const float* splits_;
  };

 private:
  static std::uint32_t bits(Index v) { return static_cast<std::uint32_t>(v); }
  static Index index(std::uint32_t bits) { return static_cast<Index>(bits); }
};

}  // namespace onnx_snn

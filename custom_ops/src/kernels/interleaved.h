// SPDX-License-Identifier: Apache-2.0
// Two vectors of any Simd class as one of twice the lanes. Each step of a computation waits for the step before it;
// while one vector waits, the other computes. simd/simd_avx512.h says what each function does.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/segment_bank.h"

namespace onnx_snn {

template <class Simd>
struct Interleaved {
  static constexpr std::size_t kLanes = 2 * Simd::kLanes;

  template <class T>
  struct Two {
    T low, high;
  };
  using Float = Two<typename Simd::Float>;
  using Index = Two<typename Simd::Index>;
  using Mask = Two<typename Simd::Mask>;
  using Bytes = typename Simd::Bytes;

  static Float broadcast(float value) { return {Simd::broadcast(value), Simd::broadcast(value)}; }
  static Float load(const float* p) { return {Simd::load(p), Simd::load(p + Simd::kLanes)}; }
  static void store(float* p, const Float& v) {
    Simd::store(p, v.low);
    Simd::store(p + Simd::kLanes, v.high);
  }
  static Float load(const float* p, std::size_t count) {
    if (count <= Simd::kLanes) return {Simd::load(p, count), Simd::broadcast(0)};
    return {Simd::load(p), Simd::load(p + Simd::kLanes, count - Simd::kLanes)};
  }
  static void store(float* p, const Float& v, std::size_t count) {
    if (count <= Simd::kLanes) return Simd::store(p, v.low, count);
    Simd::store(p, v.low);
    Simd::store(p + Simd::kLanes, v.high, count - Simd::kLanes);
  }

  static Float add(const Float& a, const Float& b) { return {Simd::add(a.low, b.low), Simd::add(a.high, b.high)}; }
  static Float subtract(const Float& a, const Float& b) {
    return {Simd::subtract(a.low, b.low), Simd::subtract(a.high, b.high)};
  }
  static Float multiply(const Float& a, const Float& b) {
    return {Simd::multiply(a.low, b.low), Simd::multiply(a.high, b.high)};
  }
  static Float divide(const Float& a, const Float& b) {
    return {Simd::divide(a.low, b.low), Simd::divide(a.high, b.high)};
  }
  static Float reciprocal_of_power(const Float& v) {
    return {Simd::reciprocal_of_power(v.low), Simd::reciprocal_of_power(v.high)};
  }
  static Mask less(const Float& a, const Float& b) { return {Simd::less(a.low, b.low), Simd::less(a.high, b.high)}; }
  static Mask at_least(const Float& a, const Float& b) {
    return {Simd::at_least(a.low, b.low), Simd::at_least(a.high, b.high)};
  }
  static Mask is_nan(const Float& v) { return {Simd::is_nan(v.low), Simd::is_nan(v.high)}; }
  static Float negate(const Mask& where, const Float& v) {
    return {Simd::negate(where.low, v.low), Simd::negate(where.high, v.high)};
  }
  static Float select(const Mask& where, const Float& a, const Float& b) {
    return {Simd::select(where.low, a.low, b.low), Simd::select(where.high, a.high, b.high)};
  }
  static Float floor(const Float& v) { return {Simd::floor(v.low), Simd::floor(v.high)}; }
  static Float power_of_two(const Float& v) { return {Simd::power_of_two(v.low), Simd::power_of_two(v.high)}; }
  static Float clip(const Float& v, const Float& top) {
    return {Simd::clip(v.low, top.low), Simd::clip(v.high, top.high)};
  }
  static Float whole(const Float& v) { return {Simd::whole(v.low), Simd::whole(v.high)}; }
  static Float multiply_add(const Float& a, const Float& b, const Float& c) {
    return {Simd::multiply_add(a.low, b.low, c.low), Simd::multiply_add(a.high, b.high, c.high)};
  }
  static Float multiply_subtract(const Float& a, const Float& b, const Float& c) {
    return {Simd::multiply_subtract(a.low, b.low, c.low), Simd::multiply_subtract(a.high, b.high, c.high)};
  }

  static Index broadcast_index(std::uint32_t value) {
    return {Simd::broadcast_index(value), Simd::broadcast_index(value)};
  }
  static Index truncate(const Float& v) { return {Simd::truncate(v.low), Simd::truncate(v.high)}; }
  static Float to_float(const Index& v) { return {Simd::to_float(v.low), Simd::to_float(v.high)}; }
  static Index subtract(const Index& a, const Index& b) {
    return {Simd::subtract(a.low, b.low), Simd::subtract(a.high, b.high)};
  }
  static Index smaller(const Index& a, const Index& b) {
    return {Simd::smaller(a.low, b.low), Simd::smaller(a.high, b.high)};
  }
  static Index both(const Index& a, const Index& b) { return {Simd::both(a.low, b.low), Simd::both(a.high, b.high)}; }
  static Index either(const Index& a, const Index& b) {
    return {Simd::either(a.low, b.low), Simd::either(a.high, b.high)};
  }
  static Index increase(const Index& v, const Mask& where) {
    return {Simd::increase(v.low, where.low), Simd::increase(v.high, where.high)};
  }
  static Index clear(const Mask& where, const Index& v) {
    return {Simd::clear(where.low, v.low), Simd::clear(where.high, v.high)};
  }
  template <int kBits>
  static Index shift_left(const Index& v) {
    return {Simd::template shift_left<kBits>(v.low), Simd::template shift_left<kBits>(v.high)};
  }
  template <int kBits>
  static Index shift_right(const Index& v) {
    return {Simd::template shift_right<kBits>(v.low), Simd::template shift_right<kBits>(v.high)};
  }

  static void store_bytes(std::uint8_t* p, const Index& v) { Simd::store_bytes(p, v.low, v.high); }
  static void store_bytes(std::uint8_t* p, const Index& v, const Index& w) {
    Simd::store_bytes(p, v.low, v.high, w.low, w.high);
  }

  template <std::size_t kCount>
  class Lookup {
   public:
    explicit Lookup(const float* values) : lookup_(values) {}
    Float operator[](const Index& i) const { return {lookup_[i.low], lookup_[i.high]}; }

   private:
    typename Simd::template Lookup<kCount> lookup_;
  };

  static Index root() { return {Simd::root(), Simd::root()}; }
  static Index child(const Index& node, const Mask& right) {
    return {Simd::child(node.low, right.low), Simd::child(node.high, right.high)};
  }
  static void store_index(std::int32_t* p, const Index& v) {
    Simd::store_index(p, v.low);
    Simd::store_index(p + Simd::kLanes, v.high);
  }
  static Index load_index(const std::int32_t* p) { return {Simd::load_index(p), Simd::load_index(p + Simd::kLanes)}; }

  template <std::size_t kDepth>
  class Table {
   public:
    explicit Table(const float* values) : table_(values) {}
    Float operator[](const std::int32_t* leaf) const { return {table_[leaf], table_[leaf + Simd::kLanes]}; }

   private:
    typename Simd::template Table<kDepth> table_;
  };

  template <std::size_t kDepth>
  class SegmentTable {
   public:
    explicit SegmentTable(const Segment* segments) : table_(segments) {}
    SegmentOf<Float> operator[](const std::int32_t* leaf) const {
      const auto low = table_[leaf], high = table_[leaf + Simd::kLanes];
      return {{low.u_rest, high.u_rest}, {low.gain, high.gain}, {low.weight, high.weight}, {low.base, high.base}};
    }

   private:
    typename Simd::template SegmentTable<kDepth> table_;
  };

  template <std::size_t kDepth>
  class Tree {
   public:
    explicit Tree(const float* splits) : tree_(splits) {}
    template <std::size_t kLevel>
    Float split(const Index& node) const {
      return {tree_.template split<kLevel>(node.low), tree_.template split<kLevel>(node.high)};
    }

   private:
    typename Simd::template Tree<kDepth> tree_;
  };
};

}  // namespace onnx_snn

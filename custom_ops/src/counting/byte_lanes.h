// SPDX-License-Identifier: Apache-2.0
// Vectors of bytes for the counting of levels, by the vector extension of GCC and Clang, for any processor.
// simd/simd_avx512.h has its own under the same names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace onnx_snn {

template <std::size_t kSize>
struct ByteLanes {
  static constexpr std::size_t kLanes = kSize;
  typedef std::uint8_t Vector __attribute__((vector_size(kSize)));
  using Mask = Vector;

  static Vector broadcast(std::uint8_t value) { return Vector{} + value; }
  static Vector load(const std::uint8_t* p) {
    Vector v;
    std::memcpy(&v, p, kSize);
    return v;
  }
  static void store(std::uint8_t* p, const Vector& v) { std::memcpy(p, &v, kSize); }

  static Mask equal(const Vector& a, const Vector& b) { return reinterpret_cast<Mask>(a == b); }
  static Mask both(const Mask& a, const Mask& b) { return a & b; }

  // v where the mask is set, else 0.
  static Vector keep(const Mask& where, const Vector& v) { return where & v; }
  static Vector add(const Vector& a, const Vector& b) { return a + b; }
  static Vector larger(const Vector& a, const Vector& b) { return a > b ? a : b; }

  // Whether the mask of any lane is set.
  static bool any(const Mask& mask) {
    std::uint64_t words[(kSize + 7) / 8] = {}, all = 0;
    std::memcpy(words, &mask, kSize);
    for (const std::uint64_t word : words) all |= word;
    return all != 0;
  }

  template <int kBits>
  static Vector shift_left(const Vector& v) {
    return v << kBits;
  }
  template <int kBits>
  static Vector shift_right(const Vector& v) {
    return v >> kBits;
  }
  // The lower four bits of each byte.
  static Vector low_nibbles(const Vector& v) { return v & std::uint8_t{15}; }
  static Vector either(const Vector& a, const Vector& b) { return a | b; }
  static Vector exclusive_or(const Vector& a, const Vector& b) { return a ^ b; }
  // The bits of the mask in which a and b differ.
  static Vector differing(const Vector& a, const Vector& b, const Vector& mask) { return (a ^ b) & mask; }

  static std::int64_t sum(const Vector& v) {
    std::uint8_t lanes[kSize];
    store(lanes, v);
    std::int32_t total = 0;
    for (const std::uint8_t lane : lanes) total += lane;
    return total;
  }

  // Sum and carry of a full adder, bit by bit.
  static Vector parity(const Vector& a, const Vector& b, const Vector& c) { return a ^ b ^ c; }
  static Vector majority(const Vector& a, const Vector& b, const Vector& c) { return (a & b) | ((a ^ b) & c); }
};

}  // namespace onnx_snn

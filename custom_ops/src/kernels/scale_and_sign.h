// SPDX-License-Identifier: Apache-2.0
// What surrounds the bases of a neuron, vector by vector: the scale, and the sign of odd neurons.
//
//     magnitude = x / scale, or |x / scale| where the neuron is odd
//     y         = scale * bases(magnitude), negated where x / scale was negative; x where x is NaN
#pragma once

#include "kernels/kernels.h"

namespace onnx_snn {

// One vector of x: what the bases see of it, and the result made of what they answer.
template <class Simd>
class ScaledVector {
 public:
  using Float = typename Simd::Float;
  using Mask = typename Simd::Mask;

  ScaledVector(bool odd, Rescaling kind, Float x, Float scale) : kind_(kind), x_(x), scale_(scale), magnitude_(x) {
    if (kind == Rescaling::kShift) magnitude_ = Simd::multiply(x, Simd::reciprocal_of_power(scale));
    if (kind == Rescaling::kDivide) magnitude_ = Simd::divide(x, scale);
    // If the neuron is not odd, the bound is -infinity and nothing is mirrored.
    mirrored_ = Simd::less(magnitude_, Simd::broadcast(odd ? 0 : -__builtin_inff()));
    magnitude_ = Simd::negate(mirrored_, magnitude_);
  }

  Float magnitude() const { return magnitude_; }
  Mask is_nan() const { return Simd::is_nan(x_); }

  // The result for the sum y of the bases. Adding 0 turns -0 into +0.
  Float restore(Float y) const {
    y = Simd::add(Simd::negate(mirrored_, y), Simd::broadcast(0));
    if (kind_ != Rescaling::kNone) y = Simd::multiply(y, scale_);
    return Simd::select(is_nan(), x_, y);
  }

 private:
  Rescaling kind_;
  Float x_, scale_, magnitude_;
  Mask mirrored_;
};

// Calls visit(position, load, store) for vectors over `count` elements; the last may be partial.
template <class Simd, class Visit>
void each_vector(std::size_t count, Visit visit) {
  std::size_t i = 0;
  for (; i + Simd::kLanes <= count; i += Simd::kLanes) {
    visit(i, [](const float* p) { return Simd::load(p); }, [](float* p, auto v) { Simd::store(p, v); });
  }
  if (const std::size_t rest = count - i) {
    visit(
        i, [rest](const float* p) { return Simd::load(p, rest); },
        [rest](float* p, auto v) { Simd::store(p, v, rest); });
  }
}

// Calls visit(position, scaled) for the vectors of x, all of them whole. Flattened, because a call would spill vector
// registers; compiled once for all kinds of scales, because every copy of a kernel takes seconds.
template <class Simd, class Visit>
[[gnu::flatten, gnu::noinline]] void each_scaled(bool odd, const Scale& scale, const float* x, std::size_t count,
                                                 Visit visit) {
  const Rescaling kind = scale.kind;
  const bool varies = kind != Rescaling::kNone && scale.along.stride != 0;
  const auto uniform = Simd::broadcast(kind == Rescaling::kNone ? 1 : scale.along.values[0]);
  for (std::size_t i = 0; i < count; i += Simd::kLanes) {
    const auto along = varies ? Simd::load(scale.along.values + i) : uniform;
    visit(i, ScaledVector<Simd>(odd, kind, Simd::load(x + i), along));
  }
}

}  // namespace onnx_snn

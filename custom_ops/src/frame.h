// SPDX-License-Identifier: Apache-2.0
// Scale and polarity around the bases of a neuron, vector by vector.
#pragma once

#include "blocks.h"
#include "kernels.h"

namespace onnx_snn {

// What goes into a bank, and what comes out of it: scale and polarity around the bases.
template <class Simd, Rescaling kRescaling>
class Frame {
 public:
  using Float = typename Simd::Float;
  using Mask = typename Simd::Mask;

  Frame(bool odd, Float x, Float scale) : x_(x), scale_(scale) {
    if constexpr (kRescaling == Rescaling::kNone) {
      magnitude_ = x;
    } else if constexpr (kRescaling == Rescaling::kShift) {
      magnitude_ = Simd::multiply(x, Simd::reciprocal_of_power(scale));
    } else {
      magnitude_ = Simd::divide(x, scale);
    }
    // Without populations to mirror nothing is below the bound.
    mirrored_ = Simd::less(magnitude_, Simd::broadcast(odd ? 0 : -__builtin_inff()));
    magnitude_ = Simd::negate(mirrored_, magnitude_);
  }

  Float magnitude() const { return magnitude_; }
  Mask is_nan() const { return Simd::is_nan(x_); }

  // A zero output is +0 on either side, which the sum with 0 sees to.
  Float restore(Float y) const {
    y = Simd::add(Simd::negate(mirrored_, y), Simd::broadcast(0));
    if constexpr (kRescaling != Rescaling::kNone) y = Simd::multiply(y, scale_);
    return Simd::select(is_nan(), x_, y);
  }

 private:
  Float x_, scale_, magnitude_;
  Mask mirrored_;
};

// Calls visit(position, load, store) for vectors over `count` elements; the last may be partial.
template <class Simd, class Visit>
void each_vector(std::size_t count, Visit visit) {
  std::size_t i = 0;
  for (; i + Simd::kLanes <= count; i += Simd::kLanes) {
    visit(
        i, [](const float* p) { return Simd::load(p); }, [](float* p, auto v) { Simd::store(p, v); });
  }
  if (const std::size_t rest = count - i) {
    visit(
        i, [rest](const float* p) { return Simd::load(p, rest); },
        [rest](float* p, auto v) { Simd::store(p, v, rest); });
  }
}

// Calls visit(position, framed, store) for the vectors of x. Flattened: vector registers do not live through calls.
template <class Simd, Rescaling kRescaling, class Visit>
[[gnu::flatten]] void each_framed(bool odd, const Along& scale, const float* x, std::size_t count, Visit visit) {
  const auto uniform = Simd::broadcast(kRescaling == Rescaling::kNone ? 1 : scale.values[0]);
  each_vector<Simd>(count, [&](std::size_t i, auto load, auto store) {
    const auto along = kRescaling != Rescaling::kNone && scale.stride ? load(scale.values + i) : uniform;
    visit(i, Frame<Simd, kRescaling>(odd, load(x + i), along), store);
  });
}

template <class Simd, class Visit>
void each_framed(bool odd, const Scale& scale, const float* x, std::size_t count, Visit visit) {
  switch (scale.kind) {
    case Rescaling::kNone: return each_framed<Simd, Rescaling::kNone>(odd, scale.along, x, count, visit);
    case Rescaling::kShift: return each_framed<Simd, Rescaling::kShift>(odd, scale.along, x, count, visit);
    default: return each_framed<Simd, Rescaling::kDivide>(odd, scale.along, x, count, visit);
  }
}

// What the bases see of x, and 0 after the last element.
template <class Simd>
void magnitudes(const Neuron& neuron, const Scale& scale, const float* x, std::size_t count, Block<float>& magnitude) {
  for (std::size_t i = count; i < kBlock; ++i) magnitude[i] = 0;
  each_framed<Simd>(neuron.odd, scale, x, count, [&](std::size_t i, const auto& framed, auto store) {
    store(magnitude + i, framed.magnitude());
  });
}

// Calls visit(first, count, scale) for blocks of up to kBlock elements, with the scale of each.
template <class Visit>
void each_block(const Scale& scale, std::size_t count, Visit visit) {
  for (std::size_t first = 0; first < count; first += kBlock) {
    Scale here = scale;
    if (here.along.stride != 0) here.along.values += first;
    visit(first, count - first < kBlock ? count - first : kBlock, here);
  }
}

}  // namespace onnx_snn

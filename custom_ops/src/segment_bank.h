// SPDX-License-Identifier: Apache-2.0
// A bank of disjoint ramps in registers: finds the segment of each lane's input and evaluates its one basis.
#pragma once

#include "segment_of.h"

namespace onnx_snn {

// Down the search tree from the root, whichever way each lane goes: the leaves of x.
template <class Simd, std::size_t kLevel, class Tree>
typename Simd::Index descend(const Tree& tree, typename Simd::Float x) {
  if constexpr (kLevel == 0) {
    return Simd::root();
  } else {
    const auto node = descend<Simd, kLevel - 1>(tree, x);
    return Simd::child(node, Simd::at_least(x, tree.template split<kLevel - 1>(node)));
  }
}

// Finding the segments and evaluating them are apart, with the leaves in memory between: neither then waits for the
// other, and their tables need not share the registers.
template <class Simd, std::size_t kDepth, bool kNarrow>
class SegmentBank {
 public:
  using Float = typename Simd::Float;
  using Index = typename Simd::Index;
  static constexpr std::int32_t kLeaves = 1 << kDepth;

  explicit SegmentBank(const Neuron& neuron)
      : tree_(neuron.segments.split),
        segments_(neuron.segments.segment),
        base_rest_(neuron.segments.base_rest),
        top_(Simd::broadcast(neuron.halving.top())) {}

  // The segments n of x, as leaves of the tree: kLeaves + n.
  Index leaf(Float x) const { return descend<Simd, kDepth>(tree_, x); }

  // base + level * weight, rounded once; visit(charge) as well, of whose whole part the level is.
  template <class Visit>
  Float operator()(Float x, const std::int32_t* leaf, Visit visit) const {
    const auto segment = segments_[leaf];
    const Float charge = Simd::clip(Simd::multiply(Simd::subtract(x, segment.u_rest), segment.gain), top_);
    visit(charge);
    const Float k = Simd::whole(charge);
    if constexpr (kNarrow) return Simd::multiply_add(k, segment.weight, segment.base);
    return sum_of_pairs(k, segment.weight, segment.base, base_rest_[leaf]);
  }

 private:
  // (base + rest) + k * weight, rounded once. The rounding errors of the product and of the sum (Knuth's TwoSum) are
  // exact and so is their sum with the rest, as the classification of the neuron has made sure.
  static Float sum_of_pairs(Float k, Float weight, Float base, Float rest) {
    const Float product = Simd::multiply(k, weight);
    const Float product_error = Simd::multiply_subtract(k, weight, product);
    const Float sum = Simd::add(base, product);
    const Float added = Simd::subtract(sum, base);
    const Float base_error = Simd::subtract(base, Simd::subtract(sum, added));
    const Float sum_error = Simd::add(base_error, Simd::subtract(product, added));
    return Simd::add(sum, Simd::add(Simd::add(rest, product_error), sum_error));
  }

  typename Simd::template Tree<kDepth> tree_;
  typename Simd::template SegmentTable<kDepth> segments_;
  typename Simd::template Table<kDepth> base_rest_;
  Float top_;
};

// Calls use(bank) with the neuron's bank of segments, of the type that fits it.
template <class Simd, class Use>
void with_segment_bank(const Neuron& neuron, Use use) {
  const auto of_depth = [&](auto depth) {
    constexpr std::size_t kDepth = decltype(depth)::value;
    if (neuron.segments.narrow) {
      use(SegmentBank<Simd, kDepth, true>(neuron));
    } else {
      use(SegmentBank<Simd, kDepth, false>(neuron));
    }
  };
  switch (neuron.segments.depth) {
    case 3: return of_depth(std::integral_constant<std::size_t, 3>());
    case 4: return of_depth(std::integral_constant<std::size_t, 4>());
    default: return of_depth(std::integral_constant<std::size_t, 5>());
  }
}

}  // namespace onnx_snn

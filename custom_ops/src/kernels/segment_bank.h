// SPDX-License-Identifier: Apache-2.0
// The bases of a segmented neuron in registers: finds the segment of each lane's x and evaluates the basis it belongs
// to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "neuron/neuron.h"

namespace onnx_snn {

// The fields of the segments of several lanes: lane i of each vector belongs to the segment of element i.
template <class Float>
struct SegmentOf {
  Float u_rest, gain, weight, base;
};

// The nodes that the lanes of x reach on level kLevel of the search tree, from the root down.
template <class Simd, std::size_t kLevel, class Tree>
typename Simd::Index descend(const Tree& tree, typename Simd::Float x) {
  if constexpr (kLevel == 0) {
    return Simd::root();
  } else {
    const auto node = descend<Simd, kLevel - 1>(tree, x);
    return Simd::child(node, Simd::at_least(x, tree.template split<kLevel - 1>(node)));
  }
}

// Finding the segments and evaluating them are separate passes, with the leaves in memory between them: neither waits
// for the other, and their tables do not compete for registers.
template <class Simd, std::size_t kDepth, bool kNarrow>
class SegmentBank {
 public:
  using Float = typename Simd::Float;
  using Index = typename Simd::Index;

  explicit SegmentBank(const Neuron& neuron)
      : tree_(neuron.segments->split),
        segments_(neuron.segments->segment),
        base_rest_(neuron.segments->base_rest),
        top_(Simd::broadcast(neuron.steps->top())) {}

  // The leaves of x: 2**kDepth + n for segment n.
  Index leaf(Float x) const { return descend<Simd, kDepth>(tree_, x); }

  // base + k * weight, rounded once, where the level k is the whole part of the charge. Calls visit(charge) too.
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
  // (base + rest) + k * weight, rounded once. Path::kSegmented guarantees that the rounding errors of the product and
  // of the sum (Knuth's TwoSum) are exact, and so is their sum with the rest.
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

// Calls use(bank) with the neuron's segment bank, whose type depends on the depth of the tree.
template <class Simd, class Use>
void with_segment_bank(const Neuron& neuron, Use use) {
  const auto of_depth = [&](auto depth) {
    constexpr std::size_t kDepth = decltype(depth)::value;
    if (neuron.segments->narrow) {
      use(SegmentBank<Simd, kDepth, true>(neuron));
    } else {
      use(SegmentBank<Simd, kDepth, false>(neuron));
    }
  };
  switch (neuron.segments->depth) {
    case 3: return of_depth(std::integral_constant<std::size_t, 3>());
    case 4: return of_depth(std::integral_constant<std::size_t, 4>());
    default: return of_depth(std::integral_constant<std::size_t, 5>());
  }
}

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// The Multi-basis Exponential Decay (MBE) neuron: its parameters, read once and classified by how it can be evaluated.
//
//     u_n = (x - u_rest_n) * gain_n                         float32: subtract, then multiply
//     for t in 0 .. S-1:  s = u_n >= threshold[t, n];  u_n -= reset[t, n] where s;  o_n += intensity[t, n] where s
//     y   = bias + sum_n weight_n * o_n                    exact sum, rounded once to float32; x where x is NaN
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "neuron/segments.h"
#include "neuron/steps.h"

namespace onnx_snn {

// The ways to evaluate a neuron, fastest first. All give the same bits and the same spikes.
enum class Path {
  // Steps of up to kFewSegments disjoint ramps, such as a beta code: segment and level are found in registers.
  kFewSegments,
  // Halving steps with more disjoint ramps: every x lies in the segment of one basis, which a search tree finds.
  kSegmented,
  // Any other neuron: basis by basis in float64, by the closed form where the kernels are halving, else by the
  // definition.
  kGeneric,
};

// One neuron with what its evaluation needs; immutable.
class Neuron {
 public:
  explicit Neuron(const NeuronTensors& tensors);

  // Whether the kernels are steps of halving sizes.
  bool halving() const { return steps && steps->halving; }

  // Whether every x lies in the segment of one basis, so that its spikes are counted as the spike word of that basis.
  bool segmented() const { return path == Path::kFewSegments || path == Path::kSegmented; }

  // Of a segmented neuron: the basis whose ramp a segment holds.
  std::size_t segment_basis(std::size_t segment) const {
    return path == Path::kFewSegments ? few_segments->basis[segment] : segments->basis[segment];
  }

  // Of a segmented neuron: what identifies the first segment while levels are counted; others follow one by one.
  // With bases that fall it is above 0, which stands for no segment.
  std::size_t first_owner() const {
    if (path == Path::kSegmented) return segments->first_leaf();
    return falling ? kFewSegments : 0;
  }

  std::size_t bases;
  std::size_t timesteps;  // S, the time step of the saturation spike included
  bool odd;
  double bias;
  std::vector<float> u_rest, gain, threshold, reset, intensity;
  std::vector<double> weight;
  bool falling;  // a gain is negative: the basis fires below its resting potential

  std::optional<Steps> steps;        // nothing: the kernels are not steps
  std::vector<float> level_gain;     // of steps: gain / unit, a shift; may overflow unless the steps are halving
  std::vector<double> level_weight;  // of steps: weight * unit, an exact shift

  std::optional<FewSegments> few_segments;  // of Path::kFewSegments
  std::optional<Segments> segments;         // of Path::kSegmented
  Path path;
};

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// The Multi-basis Exponential Decay (MBE) neuron: its parameters, read once and classified by how it can be evaluated.
//
//     u_n = (x - u_rest_n) * gain_n                         float32: subtract, then multiply
//     for t in 0 .. S-1:  s = u_n >= threshold[t, n];  u_n -= reset[t, n] where s;  o_n += intensity[t, n] where s
//     y   = bias + sum_n weight_n * o_n                    exact sum, rounded once to float32; x where x is NaN
//
// Halving kernels, threshold = reset = intensity = 2**-t, have the closed form
//
//     k_n = clip(floor(u_n * 2**(T-1)), 0, 2**T - 1),  o_n = k_n * 2**-(T-1)
//
// where k_n is the level of basis n. The ramp of a basis is the range of inputs over which its level changes: on one
// side of it the basis is silent (level 0), on the other it is saturated (level 2**T - 1).
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace onnx_snn {

// Levels k_n up to 2**16 - 1 keep every weighted sum inside the 53 bits of float64.
inline constexpr std::size_t kMaxHalvingTimesteps = 16;

// Segments that the search tree and the tables in registers can hold.
inline constexpr std::size_t kMaxSegments = 32;

// Time steps of a neuron on the single-basis path, whose spikes are counted in one vector for each time step.
inline constexpr std::size_t kMaxSingleBasisTimesteps = 16;

// The parameter tensors of a neuron as the operators take them, finite and of consistent shapes.
struct NeuronTensors {
  std::size_t bases;       // N
  std::size_t timesteps;   // S
  const float* u_rest;     // [N]
  const float* gain;       // [N], not 0, magnitude up to 2**111
  const float* threshold;  // [S, N]
  const float* reset;      // [S, N], may hold +inf
  const float* intensity;  // [S, N]
  const float* weight;     // [N]
  float bias;
  bool odd;  // two mirrored populations: the bases see |x|, the sign is restored
};

// Halving kernels of T time steps. With a saturation spike, one more time step comes first, in which a saturated basis
// fires its whole level and then stays silent: S = T + 1.
struct Halving {
  std::size_t timesteps;  // T
  bool saturation_spike;
  float top() const { return static_cast<float>((1u << timesteps) - 1); }  // the highest level
};

// One segment: y = base + weight * clip(floor((x - u_rest) * gain), 0, top).
struct alignas(16) Segment {
  float u_rest;
  float gain;    // gain_n * 2**(T-1): levels, not intensities
  float weight;  // weight_n * 2**-(T-1)
  float base;    // bias and the sum of the saturated bases, rounded to float32
};

// All segments in ascending order of x, padded to 2**depth.
struct Segments {
  std::size_t depth;  // of the search tree: 3, 4 or 5
  // A binary search tree in heap order: from node i, x >= split[i] goes to node 2i + 1, else to 2i. The root is 1, the
  // leaves are 2**depth + segment. Padding is NaN, so that no x goes beyond the last segment.
  alignas(64) float split[kMaxSegments];
  alignas(64) Segment segment[kMaxSegments];
  alignas(64) float base_rest[kMaxSegments];  // exact base - float32 base
  bool narrow;                                // every base_rest is 0: one fused multiply-add gives y
  std::size_t basis[kMaxSegments];            // the basis n whose ramp the segment holds

  std::size_t first_leaf() const { return std::size_t{1} << depth; }
};

// The three ways to evaluate a neuron, fastest first. All give the same bits and the same spikes.
enum class Path {
  // Halving kernels with disjoint ramps: every x lies in the segment of one basis. All other bases are silent or
  // saturated, so that their sum is a constant of the segment.
  kSegmented,
  // One basis with any kernels, such as a beta code, whose sums are exact in float32: all time steps run in registers.
  kSingleBasis,
  // Any other neuron: basis by basis in float64, by the closed form where the kernels are halving, else by the
  // definition.
  kGeneric,
};

// One neuron with what its evaluation needs; immutable.
class Neuron {
 public:
  explicit Neuron(const NeuronTensors& tensors);

  std::size_t bases;
  std::size_t timesteps;  // S, the time step of the saturation spike included
  bool odd;
  double bias;
  std::vector<float> u_rest, gain, threshold, reset, intensity;
  std::vector<double> weight;

  std::optional<Halving> halving;    // nothing: the kernels are not halving
  std::vector<float> level_gain;     // of halving kernels: gain * 2**(T-1), an exact shift
  std::vector<double> level_weight;  // of halving kernels: weight * 2**-(T-1)

  std::optional<Segments> segments;  // of Path::kSegmented
  Path path;
};

}  // namespace onnx_snn

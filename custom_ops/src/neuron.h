// SPDX-License-Identifier: Apache-2.0
// The Multi-basis Exponential Decay (MBE) neuron: its parameters, read and classified once.
//
//     u_n = (x - u_rest_n) * gain_n                         float32: subtract, then multiply
//     for t in 0 .. S-1:  s = u_n >= threshold[t, n];  u_n -= reset[t, n] where s;  o_n += intensity[t, n] where s
//     y   = bias + sum_n weight_n * o_n                    exact sum, rounded once to float32; x where x is NaN
//
// Halving kernels, threshold = reset = intensity = 2**-t, have the closed form
//
//     k_n = clip(floor(u_n * 2**(T-1)), 0, 2**T - 1),  o_n = k_n * 2**-(T-1)
//
// and where moreover the ramps of the bases are disjoint, every x lies in the segment of one basis: all others are
// silent or saturated, and their sum is known beforehand.
#pragma once

#include <cstddef>
#include <vector>

namespace onnx_snn {

// Levels k_n up to 2**16 - 1 keep every weighted sum inside the 53 bits of float64.
inline constexpr std::size_t kMaxHalvingTimesteps = 16;

// What a register table of the segment search holds.
inline constexpr std::size_t kMaxSegments = 32;

// Time steps of a neuron of one basis that are counted side by side.
inline constexpr std::size_t kMaxFusedTimesteps = 16;

// The parameter tensors of a neuron as the operators take them, finite and of consistent shapes.
struct NeuronTensors {
  std::size_t bases;       // N
  std::size_t timesteps;   // S
  const float* u_rest;      // [N]
  const float* gain;       // [N], not 0, magnitude up to 2**111
  const float* threshold;  // [S, N]
  const float* reset;      // [S, N], may hold +inf
  const float* intensity;  // [S, N]
  const float* weight;     // [N]
  float bias;
  bool odd;  // two mirrored populations: the bases see |x|, the sign is restored
};

// Halving kernels: T time steps, and whether a gate, on which a saturated basis fires once, leads them.
struct Halving {
  std::size_t timesteps = 0;  // 0: the kernels are not halving
  bool gate = false;
  float top() const { return static_cast<float>((1u << timesteps) - 1); }
};

// What evaluates one segment: y = base + weight * clip(floor((x - u_rest) * gain), 0, top).
struct alignas(16) Segment {
  float u_rest;
  float gain;    // of levels
  float weight;  // of levels
  float base;    // bias and saturated bases, in float32
};

// Bases in the order of their segments, padded to 2**depth.
struct Segments {
  std::size_t depth = 0;  // 0: ramps overlap, or there are more than kMaxSegments
  // A binary search tree in heap order: from node i, x >= split[i] goes to node 2i + 1, else to 2i. The root is 1, the
  // leaves 2**depth + segment. Padding is NaN, which nothing reaches.
  alignas(64) float split[kMaxSegments];
  alignas(64) Segment segment[kMaxSegments];
  alignas(64) float base_rest[kMaxSegments];  // what float32 leaves of the exact base
  bool narrow;                                // every base_rest is 0: one fused multiply-add does
  std::size_t basis[kMaxSegments];            // which basis of the tensors a segment belongs to

  std::size_t first_leaf() const { return std::size_t{1} << depth; }
};

// One neuron with what its evaluation needs; immutable.
class Neuron {
 public:
  explicit Neuron(const NeuronTensors& tensors);

  std::size_t bases;
  std::size_t timesteps;  // S, the gate's included
  bool odd;
  double bias;
  std::vector<float> u_rest, gain, threshold, reset, intensity;
  std::vector<double> weight;

  Halving halving;
  std::vector<float> level_gain;     // gain * 2**(T-1), an exact shift
  std::vector<double> level_weight;  // weight * 2**-(T-1)

  Segments segments;
  bool fused;  // no segments, but one basis, and float32 rounds bias + weight * o once
};

}  // namespace onnx_snn

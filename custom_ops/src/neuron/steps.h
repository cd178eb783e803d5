// SPDX-License-Identifier: Apache-2.0
// Kernels with step sizes: threshold = reset = intensity = size_t, the same for every basis.
//
// All sizes are multiples of one power of two, the unit: size_t = units_t * unit. The level k of a basis is what it has
// accumulated, in units, and whole numbers suffice to find it:
//
//     rest = clip(floor(u / unit), 0, sum of all units)
//     for t in 0 .. T-1:  rest -= units_t where rest >= units_t
//     k    = clip(floor(u / unit), 0, sum of all units) - rest
//
// This is the float32 loop over u, because each of its subtractions that decides anything is exact: u is below the sum
// of all sizes, which is below 2**24 units. Above that sum every step fires, since float32 rounds monotonically.
//
// Halving sizes 2**-t, units_t = 2**(T-1-t), leave no rest: k = clip(floor(u / unit), 0, 2**T - 1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace onnx_snn {

// Time steps T of step kernels: one bit for each in a spike word, and levels that keep every weighted sum inside the 53
// bits of float64.
inline constexpr std::size_t kMaxSteps = 16;

// Steps that are marked in a level while spikes are counted.
inline constexpr std::size_t kMarkBits = 8;

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

// Step kernels of T time steps. With a saturation spike, one more time step comes first, in which a saturated basis
// fires its whole level and then stays silent: S = T + 1.
struct Steps {
  std::size_t timesteps;  // T
  bool saturation_spike;
  bool halving;                               // the sizes are 2**-t
  int unit_exponent;                          // the unit is 2**unit_exponent, from 2**-100 to 2**100
  std::array<std::uint32_t, kMaxSteps> size;  // in units, above 0; entries from T on are 0
  // size << kMarkBits, less the mark of the step, bit (T-1-t) % kMarkBits: subtracting it leaves the mark.
  std::array<std::uint32_t, kMaxSteps> marked_size;
  std::uint32_t total;     // the highest level: the sum of all sizes, below 2**24
  std::uint32_t smallest;  // the lowest level above 0

  float top() const { return static_cast<float>(total); }

  // The spike word of an element has bit T-1-t set where step t fired; here all of them. With halving sizes it is the
  // level.
  std::uint32_t full_word() const { return (1u << timesteps) - 1; }
};

// The kernels as steps, if they are.
std::optional<Steps> steps_of(const NeuronTensors& tensors);

}  // namespace onnx_snn

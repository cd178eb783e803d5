// SPDX-License-Identifier: Apache-2.0
// Path::kSingleBasis: one basis with any kernels, such as a beta code; all time steps of some vectors in registers.
//
//     u = (x - u_rest) * gain
//     for t in 0 .. S-1:  s = u >= threshold[t];  u -= reset[t] where s;  o += intensity[t] where s
//     y = bias + weight * o                       a fused multiply-add: Path::kSingleBasis guarantees that o is exact
#pragma once

#include <algorithm>
#include <array>

#include "counting/spike_counter.h"
#include "kernels/interleaved.h"
#include "kernels/scale_and_sign.h"

namespace onnx_snn {

// How often each time step fired, lane by lane.
template <class Simd>
using StepCounts = std::array<typename Simd::Counts, kMaxSingleBasisTimesteps>;

// o, the accumulated intensity of x. Calls visit(t, s) after each time step.
template <class Simd, class Visit>
typename Simd::Float accumulate(const Neuron& neuron, typename Simd::Float x, Visit visit) {
  auto u = Simd::multiply(Simd::subtract(x, Simd::broadcast(neuron.u_rest[0])), Simd::broadcast(neuron.gain[0]));
  auto o = Simd::broadcast(0);
  for (std::size_t t = 0; t < neuron.timesteps; ++t) {
    const auto s = Simd::at_least(u, Simd::broadcast(neuron.threshold[t]));
    u = Simd::subtract_where(s, u, Simd::broadcast(neuron.reset[t]));
    o = Simd::add_where(s, o, Simd::broadcast(neuron.intensity[t]));
    visit(t, s);
  }
  return o;
}

template <class Simd, class Visit>
void evaluate_vectors(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                      Visit visit) {
  const auto weight = Simd::broadcast(static_cast<float>(neuron.weight[0]));
  const auto bias = Simd::broadcast(static_cast<float>(neuron.bias));
  each_scaled<Simd>(neuron.odd, scale, x, count, [&](std::size_t i, const auto& scaled, auto store) {
    const auto o = accumulate<Simd>(neuron, scaled.magnitude(), visit);
    store(y + i, scaled.restore(Simd::multiply_add(o, weight, bias)));
  });
}

// The last elements, fewer than a vector: padded with NaN, which never fires.
template <class Simd, class Visit>
void evaluate_rest(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count, Visit visit) {
  alignas(64) float padded[Simd::kLanes], scales[Simd::kLanes];
  std::fill(std::copy_n(x, count, padded), std::end(padded), __builtin_nanf(""));
  Scale here = scale;
  // Scales that are all 1 are not read, and may be fewer than the elements.
  if (scale.kind != Rescaling::kNone && scale.along.stride != 0) {
    std::fill(std::copy_n(scale.along.values, count, scales), std::end(scales), 1.0f);
    here.along.values = scales;
  }
  evaluate_vectors<Simd>(neuron, here, padded, padded, Simd::kLanes, visit);
  std::copy_n(padded, count, y);
}

// Evaluates and counts; a lane counts in 32 bits, which bounds `count`.
template <class Simd>
void count_single_basis(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                        SpikeCounter& counter) {
  StepCounts<Simd> counts;
  counts.fill(Simd::no_counts());
  const auto count_step = [&](std::size_t t, const auto& s) { counts[t] = Simd::count(counts[t], s); };
  const std::size_t whole = count / Simd::kLanes * Simd::kLanes;
  evaluate_vectors<Simd>(neuron, scale, x, y, whole, count_step);
  if (whole < count) {
    Scale rest = scale;
    if (rest.along.stride != 0) rest.along.values += whole;
    evaluate_rest<Simd>(neuron, rest, x + whole, y + whole, count - whole, count_step);
  }
  for (std::size_t t = 0; t < neuron.timesteps; ++t) counter.add(t, 0, Simd::sum(counts[t]));
}

template <class Simd>
void evaluate_single_basis(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                           SpikeCounter* counter) {
  // Four vectors in turn: a time step waits for the one before it for longer than two vectors take to compute.
  using Wide = Interleaved<Simd>;
  if (counter == nullptr) return evaluate_vectors<Wide>(neuron, scale, x, y, count, [](std::size_t, const auto&) {});
  constexpr std::size_t kMost = std::size_t{1} << 24;
  for (std::size_t first = 0; first < count; first += kMost) {
    Scale here = scale;
    if (here.along.stride != 0) here.along.values += first;
    count_single_basis<Wide>(neuron, here, x + first, y + first, std::min(count - first, kMost), *counter);
  }
}

}  // namespace onnx_snn

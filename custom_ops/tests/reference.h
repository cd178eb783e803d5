// SPDX-License-Identifier: Apache-2.0
// The spiking ops by their definition: one element and one time step after the other.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "neuron/neuron.h"

namespace onnx_snn::reference {

// A neuron that owns its tensors.
struct Parameters {
  std::size_t bases, timesteps;
  std::vector<float> u_rest, gain, threshold, reset, intensity, weight;
  float bias;
  bool odd;
};

// spikes [S, N] may be null.
inline float neuron(const Parameters& p, float x, float scale, std::int64_t* spikes) {
  float scaled = x / scale;
  const bool mirrored = p.odd && scaled < 0;
  if (mirrored) scaled = -scaled;
  double sum = p.bias;
  for (std::size_t n = 0; n < p.bases; ++n) {
    float u = (scaled - p.u_rest[n]) * p.gain[n];
    float o = 0;
    for (std::size_t t = 0; t < p.timesteps; ++t) {
      const std::size_t slot = t * p.bases + n;
      if (!(u >= p.threshold[slot])) continue;
      u -= p.reset[slot];
      o += p.intensity[slot];
      if (spikes != nullptr) ++spikes[slot];
    }
    sum += static_cast<double>(p.weight[n]) * o;
  }
  float y = static_cast<float>(sum);
  if (mirrored) y = 0.0f - y;
  return std::isnan(x) ? x : y * scale;
}

// 1/v, exponents split off exactly.
inline float reciprocal(const Parameters& p, float v, std::int64_t* spikes) {
  const bool regular = v > 0 && v < INFINITY;
  int exponent;
  const float mantissa = std::frexp(regular ? v : 1.0f, &exponent);
  const float answer = neuron(p, mantissa, 1, spikes);
  return regular ? static_cast<float>(std::ldexp(static_cast<double>(answer), -exponent)) : 1 / v;
}

// 1/sqrt(v)
inline float rsqrt(const Parameters& p, float v, std::int64_t* spikes) {
  const bool regular = v > 0 && v < INFINITY;
  int exponent;
  const float mantissa = std::frexp(regular ? v : 1.0f, &exponent);
  const int half = (exponent - (exponent & 1)) / 2;
  const float answer = neuron(p, std::ldexp(mantissa, exponent - 2 * half), 1, spikes);
  return regular ? static_cast<float>(std::ldexp(static_cast<double>(answer), -half)) : 1 / std::sqrt(v);
}

inline void softmax(const Parameters& exp2, const Parameters& inverse, const float* x, float* y, std::size_t length,
                    std::int64_t* exp2_spikes, std::int64_t* inverse_spikes) {
  float largest = x[0];
  for (std::size_t i = 1; i < length; ++i) largest = std::fmax(largest, x[i]);
  double sum = 0;
  for (std::size_t i = 0; i < length; ++i) {
    const float z = (x[i] - largest) * 1.44269504f;
    const float capped = z < -126 ? -126 : z;
    const float power = neuron(exp2, capped - std::floor(capped), 1, exp2_spikes);
    y[i] = z < -126 ? 0 : std::ldexp(power, static_cast<int>(std::floor(capped)));
    sum += y[i];
  }
  const float factor = reciprocal(inverse, static_cast<float>(sum), inverse_spikes);
  for (std::size_t i = 0; i < length; ++i) y[i] *= factor;
}

// What goes along one row.
struct Row {
  const float* scale;
  const float* gamma;
  const float* beta;  // null: no mean is subtracted, nothing is added
};

inline void normalize(const Parameters& deviation, const Parameters& inverse, const Row& row, float epsilon,
                      const float* x, float* y, std::size_t length, std::int64_t* deviation_spikes,
                      std::int64_t* inverse_spikes) {
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < length; ++i) sum += x[i];
  const float mean = row.beta == nullptr ? 0 : static_cast<float>(sum / static_cast<double>(length));
  for (std::size_t i = 0; i < length; ++i) {
    y[i] = neuron(deviation, x[i] - mean, row.scale[i], deviation_spikes);
    squares += static_cast<double>(y[i]) * y[i];
  }
  const float variance = static_cast<float>(squares / static_cast<double>(length));
  const float factor = rsqrt(inverse, variance + epsilon, inverse_spikes);
  for (std::size_t i = 0; i < length; ++i) {
    y[i] = y[i] * factor * row.gamma[i];
    if (row.beta != nullptr) y[i] += row.beta[i];
  }
}

}  // namespace onnx_snn::reference

// SPDX-License-Identifier: Apache-2.0
#include "neuron/neuron.h"

#include <algorithm>
#include <cmath>

namespace onnx_snn {
Neuron::Neuron(const NeuronTensors& tensors)
    : bases(tensors.bases),
      timesteps(tensors.timesteps),
      odd(tensors.odd),
      bias(tensors.bias),
      u_rest(tensors.u_rest, tensors.u_rest + bases),
      gain(tensors.gain, tensors.gain + bases),
      threshold(tensors.threshold, tensors.threshold + timesteps * bases),
      reset(tensors.reset, tensors.reset + timesteps * bases),
      intensity(tensors.intensity, tensors.intensity + timesteps * bases),
      weight(tensors.weight, tensors.weight + bases),
      falling(std::any_of(gain.begin(), gain.end(), [](float entry) { return entry < 0; })),
      steps(steps_of(tensors)) {
  if (steps) {
    for (std::size_t n = 0; n < bases; ++n) {
      level_gain.push_back(std::ldexp(gain[n], -steps->unit_exponent));
      level_weight.push_back(std::ldexp(weight[n], steps->unit_exponent));
    }
  }
  few_segments = few_segments_of(*this);
  if (!few_segments) segments = segments_of(*this);
  path = few_segments ? Path::kFewSegments : segments ? Path::kSegmented : Path::kGeneric;
}

}  // namespace onnx_snn

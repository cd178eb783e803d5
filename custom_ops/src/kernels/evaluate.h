// SPDX-License-Identifier: Apache-2.0
// y = neuron(x / scale) * scale along the execution path of the neuron, its spikes counted or not.
#pragma once

#include "kernels/few_segments.h"
#include "kernels/generic.h"
#include "kernels/segmented.h"

namespace onnx_snn {

template <class Simd>
void evaluate(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
              SpikeCounter* counter) {
  switch (neuron.path) {
    case Path::kFewSegments: return evaluate_few_segments<Simd>(neuron, scale, x, y, count, counter);
    case Path::kSegmented: return evaluate_segmented<Simd>(neuron, scale, x, y, count, counter);
    case Path::kGeneric: return evaluate_generic<Simd>(neuron, scale, x, y, count, counter);
  }
}

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
// The kernels as free functions over plain arrays: one table of them for each instruction set, all with the same bits.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "counting/level_counts.h"
#include "neuron/neuron.h"

namespace onnx_snn {

// Values along a run of elements: one for all of them (stride 0) or one for each (stride 1).
struct Along {
  const float* values = nullptr;
  std::size_t stride = 0;
};

// How a neuron's input is rescaled: x / scale goes in, y * scale comes out.
enum class Rescaling {
  kNone,    // every scale is 1
  kShift,   // powers of two from 2**-126 to 2**126, whose reciprocals are normal: x * (1 / scale) is exact
  kDivide,  // any other positive number
};

struct Scale {
  Rescaling kind = Rescaling::kNone;
  Along along;
};

class SpikeCounter;

// What the scaled argument x / scale of a neuron may be; either end may be infinite.
struct Range {
  float lowest, highest;
};

// Counts the elements that lie beyond a range.
struct Guard {
  const Range& range;
  std::atomic<std::int64_t>& saturated;
};

// The neurons of a softmax. Spikes are counted where a counter is given.
struct Softmax {
  const Neuron& exp2;        // 2**f on [0, 1]
  const Neuron& reciprocal;  // 1/m on [0.5, 1)
  SpikeCounter* exp2_spikes = nullptr;
  SpikeCounter* reciprocal_spikes = nullptr;
};

// The neurons and parameters of a normalization.
struct Normalization {
  bool centred;             // subtracts the mean: layer normalization, else root-mean-square normalization
  const Neuron& deviation;  // identity code
  const Neuron& rsqrt;      // 1/sqrt(m) on [0.5, 2)
  Scale deviation_scale;
  float epsilon;
  Along gamma;
  Along beta;  // no values: nothing is added
  SpikeCounter* deviation_spikes = nullptr;
  SpikeCounter* rsqrt_spikes = nullptr;
  const Guard* deviation_guard = nullptr;
};

// The table of one instruction set. x and y may be the same array. Nothing is allocated.
struct Kernels {
  const char* name;

  // y = neuron(x / scale) * scale for `count` elements.
  void (*evaluate)(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                   SpikeCounter* spikes);

  // Counts which of `count` elements are below range.lowest * scale or above range.highest * scale; none that is NaN.
  void (*watch)(const Guard& guard, const Scale& scale, const float* x, std::size_t count);

  UnpackLevels unpack_levels;

  // Softmax of each of `rows` rows of `length` elements.
  void (*softmax)(const Softmax& softmax, const float* x, float* y, std::size_t rows, std::size_t length);

  // Normalization of each of `rows` rows of `length` elements; scale, gamma and beta go along each row.
  void (*normalize)(const Normalization& normalization, const float* x, float* y, std::size_t rows, std::size_t length);
};

}  // namespace onnx_snn

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "neuron.h"

namespace onnx_snn {

// The segments of several lanes, field by field.
template <class Float>
struct SegmentOf {
  Float u_rest, gain, weight, base;
};

}  // namespace onnx_snn

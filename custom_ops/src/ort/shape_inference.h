// SPDX-License-Identifier: Apache-2.0
// Shape inference while onnxruntime loads a model.
#pragma once

#include "ort/ort_abi.h"

namespace onnx_snn {

// Tells onnxruntime that output 0 has the shape of input 0, where the interface can say so correctly.
void infer_shape_of_result(const OrtApi& api, OrtShapeInferContext* context);

}  // namespace onnx_snn

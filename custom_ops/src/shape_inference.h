// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ort_abi.h"

namespace onnx_snn {

// Tells onnxruntime, while it loads a model, that output 0 has the shape of input 0, as far as that can be told.
void infer_shape_of_result(const OrtApi& api, OrtShapeInferContext* context);

}  // namespace onnx_snn

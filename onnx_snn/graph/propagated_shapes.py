# SPDX-License-Identifier: Apache-2.0
"""Shapes of a model's values, also behind shapes that the model computes from those of its inputs.

JAX and TensorFlow reshape to [batch, 1, 256], where `batch` is read from an input by Shape and Slice. onnx infers the
rank and the fixed sizes of what they reshape where it propagates the computed numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx_ir as ir

from onnx_snn.graph.declared_shapes import hollow

Sizes = tuple["int | str | None", ...]
"""Size of every axis: a number, a name that stands for the same number everywhere, or None."""


def propagated_shapes(model: ir.Model) -> Mapping[str, Sizes]:
    """Shapes of the values of the main graph whose rank is known, by name; none where onnx finds a contradiction."""
    try:
        graph = onnx.shape_inference.infer_shapes(hollow(model), data_prop=True).graph
    except onnx.shape_inference.InferenceError:
        return {}
    return {
        info.name: tuple(map(_size, info.type.tensor_type.shape.dim))
        for info in (*graph.input, *graph.value_info, *graph.output)
        if info.type.HasField("tensor_type") and info.type.tensor_type.HasField("shape")
    }


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    return dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None

# SPDX-License-Identifier: Apache-2.0
"""Element types and shapes of tensors, inferred by onnxruntime where the model does not declare them.

The shape inference of onnx stops at operators of other domains, and most exporters declare no types of inner tensors.
"""

from __future__ import annotations

import logging

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from onnx_snn.errors import ModelError
from onnx_snn.runtime.tap_session import inferred_types

logger = logging.getLogger(__name__)

LOW_PRECISION = frozenset((ir.DataType.FLOAT16, ir.DataType.BFLOAT16))
"""Floating-point types of fewer bits than float32."""

CAST_TYPES = LOW_PRECISION | {ir.DataType.DOUBLE}
"""Types of tensors that are cast to float32 before a neuron and back behind it."""


def annotate(model: ir.Model) -> None:
    """Fill in missing types and shapes, in place; declared ones are not changed.

    Those of the main graph are inferred by onnxruntime, those of subgraphs by onnx. If onnxruntime does not accept the
    model, those of the main graph stay: a dry run works on such models too.
    """
    _annotate_main(model)
    inner = [value for graph in model.graph.subgraphs() for node in graph for value in node.outputs if value.name]
    if any(value.type is None for value in inner):
        copy = model.clone()
        ShapeInferencePass()(copy)
        found = {value.name: value for graph in copy.graph.subgraphs() for node in graph for value in node.outputs}
        for value in inner:
            if value.type is None and (inferred := found[value.name]).type is not None:
                value.type, value.shape = inferred.type, value.shape or inferred.shape


def _annotate_main(model: ir.Model) -> None:
    """Fill in missing types and shapes of the main graph."""
    values = {value.name or "": value for node in model.graph for value in node.outputs if value.name}
    missing = [name for name, value in values.items() if value.type is None or value.shape is None]
    if not missing:
        return
    try:
        types = inferred_types(model, missing)
    except ModelError as error:
        logger.info("types are not inferred, as onnxruntime does not accept the model: %s", error)
        return
    for name, (dtype, shape) in types.items():
        value = values[name]
        if value.type is None:
            value.type = ir.TensorType(dtype)
        if value.shape is None and shape is not None and isinstance(value.type, ir.TensorType):
            value.shape = ir.Shape(shape)


def has_cast_types(model: ir.Model) -> bool:
    """Whether any tensor of `model` is declared as one of `CAST_TYPES`, or cast to it."""
    for graph in model.graphs():
        declared = [*graph.inputs, *graph.initializers.values(), *(out for node in graph for out in node.outputs)]
        if any(value.dtype in CAST_TYPES for value in declared):
            return True
        if any(_casts(node) for node in graph):
            return True
    return False


def _casts(node: ir.Node) -> bool:
    return node.op_type == "Cast" and node.attributes.get_int("to", 0) in {dtype.value for dtype in CAST_TYPES}

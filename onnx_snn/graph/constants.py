# SPDX-License-Identifier: Apache-2.0
"""Constants: initializers and Constant nodes, also behind the Identity and Cast that exporters insert."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.graph.domains import MICROSOFT
from onnx_snn.graph.operator_lists import operators

_WRAPPERS = operators("Identity Cast CastLike")

FLOATS = frozenset((ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.BFLOAT16))
"""Element types of numbers as they stand."""


def constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor that `value` always holds, before any Cast, or None."""
    while value is not None and value.const_value is None:
        producer = value.producer()
        if producer is None or producer.domain != "":
            return None
        if producer.op_type == "Constant":
            return _tensor_of(producer)
        if producer.op_type not in _WRAPPERS:
            return None
        value = producer.inputs[0]
    return None if value is None else value.const_value


def scalar(value: ir.Value | None) -> float | None:
    """The one number that `value` always holds, or None."""
    tensor = constant(value)
    if value is None or tensor is None or tensor.size != 1 or tensor.dtype is ir.DataType.STRING:
        return None
    # A higher rank than that of the other operands would be that of the result: not elementwise any more.
    if len(tensor.shape) > 1 and not _raises_no_rank(value, len(tensor.shape)):
        return None
    return float(tensor.numpy().item())


def _raises_no_rank(value: ir.Value, rank: int) -> bool:
    """Whether every node that reads `value`, of the given rank, has another operand of at least this known rank."""
    others = [
        [other for other in node.inputs if other is not None and other is not value] for node in value.consumers()
    ]
    return all(any(other.shape is not None and len(other.shape) >= rank for other in operands) for operands in others)


def dequantizes(node: ir.Node) -> bool:
    """Whether `node` is a DequantizeLinear, of ONNX or of onnxruntime."""
    return node.op_type == "DequantizeLinear" and node.domain in ("", MICROSOFT)


def numbers(value: ir.Value | None) -> NDArray[np.floating] | None:
    """The floats that `value` always holds, also behind a DequantizeLinear of constants; None for other values."""
    tensor = constant(value)
    if tensor is not None:
        return tensor.numpy() if tensor.dtype in FLOATS else None
    node = None if value is None else value.producer()
    if node is None or not dequantizes(node):
        return None
    integers, scale, *zeros = (constant(operand) for operand in node.inputs)
    if integers is None or scale is None or None in zeros or len(scale.shape) > 1:  # blocks have scales of their own
        return None
    axis, rank = node.attributes.get_int("axis", 1), len(integers.shape)
    sides = [1] * rank
    if scale.size > 1:
        sides[axis] = -1
    steps = integers.numpy().astype(np.float32)
    for zero in filter(None, zeros):
        steps = steps - zero.numpy().astype(np.float32).reshape(sides)
    return np.asarray(steps * scale.numpy().reshape(sides))


def _tensor_of(node: ir.Node) -> ir.TensorProtocol | None:
    """What a Constant node holds, unless it is sparse or text.

    `ir.convenience.get_const_tensor` would give the tensor of the node a name, which is an edit.
    """
    for name, attribute in node.attributes.items():
        if name == "value":
            return attribute.as_tensor()
        if name in ("value_float", "value_floats"):
            return ir.tensor(np.asarray(attribute.value, np.float32))
        if name in ("value_int", "value_ints"):
            return ir.tensor(np.asarray(attribute.value, np.int64))
    return None

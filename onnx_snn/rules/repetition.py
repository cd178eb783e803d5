# SPDX-License-Identifier: Apache-2.0
"""Operands that are repeated before a matmul: keys and values that several heads of queries share.

    x -> Unsqueeze (before the last two axes) -> Expand -> Reshape -> MatMul
    x -> Unsqueeze (before the last two axes) -> Expand -> Reshape -> Transpose -> MatMul

An identity neuron before the repetition has the same result, and codes each element once. Condition: apart from Shape
and Size, each value on the way has one reader.
"""

from __future__ import annotations

from typing import NamedTuple

import onnx_ir as ir

from onnx_snn.graph.constants import constant
from onnx_snn.rules.site import Reader

_REPETITION = ("Reshape", "Expand", "Unsqueeze")
"""Operators of a repetition, from the last one to the first."""

_HEAD_COPY_AXES = (2, -3)
"""Positions of the axis that Unsqueeze inserts into [batch, head, position, feature] in order to repeat heads."""


class CodingPoint(NamedTuple):
    """The position of the identity neuron of a matmul operand.

    Attributes:
        value: the value that the neuron codes.
        reader: the input that reads the code: of the matmul, or of the first node of a repetition.
        contraction_axis: the axis of `value` that the matmul sums over, from the end; None where there is not exactly
            one.
    """

    value: ir.Value
    reader: Reader
    contraction_axis: int | None


def coded_at(node: ir.Node, index: int, axis: int | None) -> CodingPoint:
    """The coding point of input `index` of the matmul `node`, which sums over its axis `axis`."""
    value = node.inputs[index]
    assert value is not None, "a matmul has both operands"
    unrepeated = CodingPoint(value, Reader(node, index), axis)
    transpose = value.producer()
    if transpose is not None and transpose.op_type == "Transpose" and _is_private(value):
        permutation = transpose.attributes.get_ints("perm", ())
        if axis is None or not permutation or transpose.inputs[0] is None:
            return unrepeated
        axis = permutation[axis] - len(permutation)
        value = transpose.inputs[0]
    for op_type in _REPETITION:
        repeating = value.producer()
        if repeating is None or repeating.op_type != op_type or repeating.domain != "" or not _is_private(value):
            return unrepeated
        first = repeating.inputs[0]
        assert first is not None, f"{op_type} has a first input"
        value = first
    assert repeating is not None
    inserted = constant(repeating.inputs[1])
    # A repetition of heads leaves the last two axes as they are; other axes may be merged.
    if inserted is None or inserted.numpy().tolist() not in [[axis] for axis in _HEAD_COPY_AXES]:
        return unrepeated
    return CodingPoint(value, Reader(repeating, 0), axis) if axis in (-1, -2) else unrepeated


def _is_private(value: ir.Value) -> bool:
    """Whether `value` has one reader apart from Shape and Size nodes."""
    readers = [use.node for use in value.uses() if use.node.op_type not in ("Shape", "Size")]
    return len(readers) == 1 and not value.is_graph_output()

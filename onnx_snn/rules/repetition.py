# SPDX-License-Identifier: Apache-2.0
"""Operands that are repeated before they are multiplied: keys and values that several heads of queries share.

    x -> Unsqueeze (before the last two axes) -> Expand -> Reshape -> MatMul
    x -> Unsqueeze (before the last two axes) -> Expand -> Reshape -> Transpose -> MatMul

An identity neuron may as well stand before the repetition, and then codes each element once. Conditions: nothing but
the product, and nodes that ask for a shape, reads what lies between.
"""

from __future__ import annotations

from typing import NamedTuple

import onnx_ir as ir

from onnx_snn.graph.constants import constant
from onnx_snn.rules.site import Reader

_REPETITION = ("Reshape", "Expand", "Unsqueeze")
_BEFORE_THE_LAST_TWO = (2, -3)
"""Positions of an axis that is inserted into batch, heads, position and feature, to repeat heads along it."""


class CodingPoint(NamedTuple):
    """The place at which an operand of a product is coded.

    Attributes:
        value: what is coded.
        reader: the input that its code becomes: of the product, or of the node that begins the repetition.
        contraction_axis: the axis of `value` that is summed over, from the end; None where there is no single one.
    """

    value: ir.Value
    reader: Reader
    contraction_axis: int | None


def coded_at(node: ir.Node, index: int, axis: int | None) -> CodingPoint:
    """The place at which to code input `index` of the product `node`, which sums over `axis` of it."""
    value = node.inputs[index]
    assert value is not None, "a product has its operands"
    asked = CodingPoint(value, Reader(node, index), axis)
    transpose = value.producer()
    if transpose is not None and transpose.op_type == "Transpose" and _is_private(value):
        permutation = transpose.attributes.get_ints("perm", ())
        if axis is None or not permutation or transpose.inputs[0] is None:
            return asked
        axis = permutation[axis] - len(permutation)
        value = transpose.inputs[0]
    for op_type in _REPETITION:
        repeating = value.producer()
        if repeating is None or repeating.op_type != op_type or repeating.domain != "" or not _is_private(value):
            return asked
        first = repeating.inputs[0]
        assert first is not None, f"{op_type} has an input"
        value = first
    assert repeating is not None
    inserted = constant(repeating.inputs[1])
    # The last two axes alone are as they were before.
    if inserted is None or inserted.numpy().tolist() not in [[axis] for axis in _BEFORE_THE_LAST_TWO]:
        return asked
    return CodingPoint(value, Reader(repeating, 0), axis) if axis in (-1, -2) else asked


def _is_private(value: ir.Value) -> bool:
    """Whether one node reads `value`, beside those that ask for its shape."""
    readers = [use.node for use in value.uses() if use.node.op_type not in ("Shape", "Size")]
    return len(readers) == 1 and not value.is_graph_output()

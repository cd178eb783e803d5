# SPDX-License-Identifier: Apache-2.0
"""Axes counted from the end; those of reductions are an attribute in older opsets, an input in newer ones."""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.graph.constants import constant
from onnx_snn.rules.rule import NoMatch


def from_end(axis: int, value: ir.Value | None) -> int:
    """The axis of `value` counted from the end, or as it is where the rank is not known."""
    shape = None if value is None else value.shape
    return axis if axis < 0 or shape is None else axis - len(shape)


def reduced_axes(node: ir.Node, like: ir.Value) -> tuple[int, ...]:
    """The axes over which a reduction that keeps its dimensions runs, sorted, from the end where known.

    `like` has the rank of what is reduced, and is more likely to know it.

    Raises:
        NoMatch: it drops its dimensions, or its axes are unknown or all.
    """
    if node.attributes.get_int("keepdims", 1) != 1:
        raise NoMatch(f"{node.op_type} drops the dimensions that it reduces")
    if len(node.inputs) > 1:
        tensor = constant(node.inputs[1])
        axes = None if tensor is None else tensor.numpy().ravel().tolist()
    else:
        axes = node.attributes.get_ints("axes")
    if not axes:
        raise NoMatch(f"the axes of {node.op_type} are not known")
    return tuple(sorted(from_end(int(axis), like) for axis in axes))


def first_trailing_axis(node: ir.Node, like: ir.Value) -> int:
    """The axis, from the end, from which a reduction runs over all axes to the last.

    Raises:
        NoMatch: as `reduced_axes`, or the axes are not the last ones.
    """
    axes = reduced_axes(node, like)
    if axes != tuple(range(-len(axes), 0)):
        raise NoMatch(f"{node.op_type} runs over axes {list(axes)}, which are not known to be the last ones")
    return axes[0]

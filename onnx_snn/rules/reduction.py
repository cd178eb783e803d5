# SPDX-License-Identifier: Apache-2.0
"""The axes of reductions, which newer opsets give as an input and older ones as an attribute."""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.rules.rule import NoMatch, constant


def reduced_axes(node: ir.Node) -> tuple[int, ...]:
    """The axes over which a reduction that keeps its dimensions runs, as written.

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
    return tuple(int(axis) for axis in axes)


def first_trailing_axis(node: ir.Node) -> int:
    """The axis, from the end, from which a reduction runs over all axes to the last.

    Raises:
        NoMatch: as `reduced_axes`, or the axes are not the last ones.
    """
    axes, shape = reduced_axes(node), node.inputs[0].shape if node.inputs[0] is not None else None
    if shape is None and any(axis >= 0 for axis in axes):
        raise NoMatch(f"{node.op_type} over axes {list(axes)} of a value of unknown rank")
    from_end = sorted(axis if axis < 0 else axis - len(shape or ()) for axis in axes)
    if from_end != list(range(-len(from_end), 0)):
        raise NoMatch(f"{node.op_type} runs over axes {list(axes)}, not over the last ones")
    return from_end[0]

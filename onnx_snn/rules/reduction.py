# SPDX-License-Identifier: Apache-2.0
"""Axes of reductions, counted from the end: an attribute in older opsets, an input in newer ones."""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.graph.constants import constant
from onnx_snn.rules.rule import NoMatch


def from_end(axis: int, value: ir.Value | None) -> int:
    """The axis `axis` of `value` counted from the end; unchanged where the rank is unknown."""
    shape = None if value is None else value.shape
    return axis if axis < 0 or shape is None else axis - len(shape)


def reduced_axes(node: ir.Node, like: ir.Value) -> tuple[int, ...]:
    """The reduced axes of `node`, sorted, counted from the end where the rank is known.

    Args:
        node: a reduction.
        like: a value of the rank of the reduced tensor, whose own rank is often not declared.

    Raises:
        NoMatch: the reduction drops its axes, or they are unknown or all axes.
    """
    if node.attributes.get_int("keepdims", 1) != 1:
        raise NoMatch(f"{node.op_type} drops the reduced axes; keepdims=1 is needed")
    return tuple(sorted(from_end(axis, like) for axis in axes_of(node)))


def axes_of(node: ir.Node) -> tuple[int, ...]:
    """The reduced axes of `node`, as they are given.

    Raises:
        NoMatch: they are unknown or all axes.
    """
    if len(node.inputs) > 1:
        tensor = constant(node.inputs[1])
        axes = None if tensor is None else tensor.numpy().ravel().tolist()
    else:
        axes = node.attributes.get_ints("axes")
    if not axes:
        raise NoMatch(f"the axes of {node.op_type} are not given as constants")
    return tuple(map(int, axes))

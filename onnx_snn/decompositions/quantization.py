# SPDX-License-Identifier: Apache-2.0
"""Numbers between floats and 8-bit integers, as fused operators give them: an integer with its scale and zero point.

dequantized      (x - zero) * scale
whole numbers    x - zero, as floats
quantized        clip(round(y / scale) + zero)
"""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder

_AXIS_OPSET = 13
"""First opset whose DequantizeLinear has a scale for each element of an axis."""


def dequantized(op: FormulaBuilder, first: int, axis: int = -1) -> ir.Value:
    """The floats of three inputs of the node from index `first` on: an integer tensor, its scale and its zero point.

    Args:
        op: builder of the nodes.
        first: index of the integer tensor.
        axis: the axis of the tensor to which scales and zero points with several elements belong.
    """
    return floats_of(op, op.required(first), op.required(first + 1), op.input(first + 2), axis)


def floats_of(op: FormulaBuilder, x: ir.Value, scale: ir.Value, zero: ir.Value | None, axis: int = -1) -> ir.Value:
    """(x - zero) * scale, with the shape of `x`; scale and zero point have one element or one for each along `axis`."""
    sizes = [_elements(one) for one in (scale, zero) if one is not None]
    if max(sizes) == 1:
        y = op.DequantizeLinear(x, scale, zero)
    elif op.opset >= _AXIS_OPSET and min(sizes) > 1:
        y = op.DequantizeLinear(x, scale, zero, axis=axis)
    else:
        steps = op.Cast(x, to=ir.DataType.INT32)
        if zero is not None:
            steps = op.Sub(steps, op.Cast(along(op, zero, x, axis), to=ir.DataType.INT32))
        y = op.Mul(op.Cast(steps, to=op.float_type(scale)), along(op, scale, x, axis))
    y.shape = x.shape
    return y


def whole_numbers(op: FormulaBuilder, x: ir.Value, zero: ir.Value | None, axis: int = -1) -> ir.Value:
    """x - zero as float32; the zero point has one element or one for each along `axis`."""
    size = 1 if zero is None else _elements(zero)
    return floats_of(op, x, op.constant(1.0 if size == 1 else [1.0] * size, ir.DataType.FLOAT), zero, axis)


def quantized(op: FormulaBuilder, y: ir.Value, scale: int, like: ir.Value, *, in_steps: bool = False) -> ir.Value:
    """`y` in steps of input `scale` of the node, with the input behind it as zero point.

    Args:
        op: builder of the nodes.
        y: floats.
        scale: index of the scale.
        like: a tensor of the type of the result, where the node gives no zero point.
        in_steps: whether `y` is in these steps already.
    """
    zero = op.input(scale + 1)
    if zero is None:
        zero = op.constant(0, like.dtype or ir.DataType.UINT8)
    return op.QuantizeLinear(y, op.constant(1.0, ir.DataType.FLOAT) if in_steps else op.required(scale), zero)


def is_single(value: ir.Value) -> bool:
    """Whether a scale or zero point has one element, as far as its shape tells."""
    return _elements(value) == 1


def _elements(value: ir.Value) -> int:
    """Number of elements of a scale or zero point; 1 where its shape is unknown."""
    sizes = [] if value.shape is None else [size for size in value.shape if isinstance(size, int)]
    return sizes[-1] if sizes else 1


def along(op: FormulaBuilder, value: ir.Value, x: ir.Value, axis: int) -> ir.Value:
    """`value` with its elements along `axis` of `x`."""
    if is_single(value):
        return value
    behind = (-axis if axis < 0 else op.rank(x) - axis) - 1
    return value if behind == 0 else op.Reshape(value, [-1, *[1] * behind])

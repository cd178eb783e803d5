# SPDX-License-Identifier: Apache-2.0
"""Reductions of a nonlinear function of the elements.

ReduceL1(x)           ReduceSum(|x|)
ReduceL2(x)           Sqrt(ReduceSum(x * x))
ReduceSumSquare(x)    ReduceSum(x * x)
ReduceLogSum(x)       Log(ReduceSum(x))
ReduceLogSumExp(x)    Log(ReduceSum(Exp(x - max))) + max
LogSoftmax(x)         x - max - Log(ReduceSum(Exp(x - max)))
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported

_AXES_INPUT_OPSET = 18
"""First opset whose reductions other than ReduceSum take their axes as an input."""


def reduce_l1(op: FormulaBuilder) -> Outputs:
    """ReduceSum(|x|)."""
    return [_total(op, op.Abs(op.required(0)))]


def reduce_l2(op: FormulaBuilder) -> Outputs:
    """Sqrt(ReduceSum(x * x))."""
    return [op.Sqrt(_total(op, _square(op)))]


def reduce_sum_square(op: FormulaBuilder) -> Outputs:
    """ReduceSum(x * x)."""
    return [_total(op, _square(op))]


def reduce_log_sum(op: FormulaBuilder) -> Outputs:
    """Log(ReduceSum(x))."""
    return [op.Log(_total(op, op.required(0)))]


def reduce_log_sum_exp(op: FormulaBuilder) -> Outputs:
    """Log(ReduceSum(Exp(x - max))) + max."""
    x, axes = op.required(0), _axes(op)
    largest = maximum(op, x, axes)
    total = op.ReduceSum(op.Exp(op.Sub(x, largest)), axes, keepdims=1)
    result = op.Add(op.Log(total), largest)
    return [result if op.node.attributes.get_int("keepdims", 1) else op.Squeeze(result, axes)]


def log_softmax(op: FormulaBuilder) -> Outputs:
    """x - max - Log(ReduceSum(Exp(x - max)))."""
    x, axes = op.required(0), [op.node.attributes.get_int("axis", -1)]
    shifted = op.Sub(x, maximum(op, x, axes))
    return [op.Sub(shifted, op.Log(op.ReduceSum(op.Exp(shifted), axes, keepdims=1)))]


def maximum(op: FormulaBuilder, x: ir.Value, axes: ir.Value | Sequence[int] | None) -> ir.Value:
    """The largest elements of `x` over `axes`, which stay; None for all axes.

    Raises:
        Unsupported: the axes are computed, in an opset whose operator has them as an attribute.
    """
    if op.opset >= _AXES_INPUT_OPSET:
        return op.ReduceMax(x, axes, keepdims=1)
    if isinstance(axes, ir.Value):
        raise Unsupported(f"{op.node.op_type} over axes that the network computes is not supported")
    return op.ReduceMax(x, keepdims=1) if axes is None else op.ReduceMax(x, axes=list(axes), keepdims=1)


def _square(op: FormulaBuilder) -> ir.Value:
    x = op.required(0)
    return op.Mul(x, x)


def _total(op: FormulaBuilder, x: ir.Value) -> ir.Value:
    """Sum of `x` over the axes of the node, which stay if they do there."""
    return op.ReduceSum(x, _axes(op), keepdims=op.node.attributes.get_int("keepdims", 1))


def _axes(op: FormulaBuilder) -> ir.Value | Sequence[int] | None:
    """The axes of the node, an input or an attribute; None for all axes.

    Raises:
        Unsupported: the node reduces nothing.
    """
    axes = op.input(1) or op.node.attributes.get_ints("axes")
    if axes is None and op.node.attributes.get_int("noop_with_empty_axes", 0) != 0:
        raise Unsupported(f"{op.node.op_type} over no axes is not supported")
    return axes

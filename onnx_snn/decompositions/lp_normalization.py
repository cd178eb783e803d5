# SPDX-License-Identifier: Apache-2.0
"""Normalizations and poolings by a norm of the elements.

    LpNormalization(x, p=2)   x / Sqrt(mean(x * x) + epsilon) / Sqrt(n)     over n elements
    LpNormalization(x, p=1)   x / (ReduceSum(|x|) + epsilon)
    LpPool(x, p)              Pow(AveragePool(Pow(|x|, p)) * k, 1 / p)      over windows of k elements
    GlobalLpPool(x, p)        Pow(ReduceSum(Pow(|x|, p)), 1 / p)            over all axes but batch and channel
    LRN(x)                    x * Pow(bias + alpha * AveragePool(x * x), -beta)     over neighbouring channels

The epsilon makes 0 of rows of zeros, as onnxruntime does.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported
from onnx_snn.decompositions.normalization import over_root_mean_square

_EPSILON = 1e-30
"""Number that is added to a norm or a mean square so that it is not 0."""

_DILATED_POOLING_OPSET = 19
"""First opset whose AveragePool has the attribute `dilations`."""


def lp_normalization(op: FormulaBuilder) -> Outputs:
    """x over its norm along an axis."""
    x, axis = op.required(0), op.node.attributes.get_int("axis", -1)
    if op.node.attributes.get_int("p", 2) == 1:
        return [op.Div(x, op.Add(op.ReduceSum(op.Abs(x), [axis], keepdims=1), _EPSILON))]
    return [op.Div(over_root_mean_square(op, x, [axis], _EPSILON), _root_of_size(op, x, axis))]


def lp_pool(op: FormulaBuilder) -> Outputs:
    """The norm of the elements of each window."""
    attributes = {name: attribute.value for name, attribute in op.node.attributes.items() if name != "p"}
    kernel = list(op.node.attributes.get_ints("kernel_shape", ()))
    if attributes.get("ceil_mode", 0):
        raise Unsupported("LpPool with windows that reach beyond the padding is not supported")
    if op.opset < _DILATED_POOLING_OPSET and any(step != 1 for step in attributes.pop("dilations", ())):
        raise Unsupported("LpPool with dilations is only supported from opset 19 on")
    pooled = op.AveragePool(_summand(op), **attributes, count_include_pad=1)
    return [_norm(op, op.Mul(pooled, float(math.prod(kernel))))]


def global_lp_pool(op: FormulaBuilder) -> Outputs:
    """The norm of all elements of each channel."""
    axes = list(range(2, op.rank(op.required(0))))
    return [_norm(op, op.ReduceSum(_summand(op), axes, keepdims=1))]


def local_response_normalization(op: FormulaBuilder) -> Outputs:
    """x * Pow(bias + alpha * mean, -beta), where mean is that of the squares of neighbouring channels."""
    x, attributes = op.required(0), op.node.attributes
    size, before = attributes["size"].as_int(), (attributes["size"].as_int() - 1) // 2
    alpha, beta = attributes.get_float("alpha", 1e-4), attributes.get_float("beta", 0.75)
    channels = op.Unsqueeze(op.Reshape(op.Mul(x, x), [0, 0, -1]), [1])
    pads = [before, 0, size - 1 - before, 0]
    pooled = op.AveragePool(channels, kernel_shape=[size, 1], pads=pads, count_include_pad=1)
    mean = op.Reshape(pooled, op.Shape(x))
    return [op.Mul(x, op.Pow(op.Add(op.Mul(mean, alpha), attributes.get_float("bias", 1.0)), -beta))]


def _summand(op: FormulaBuilder) -> ir.Value:
    """Pow(|x|, p), whose sum gives the norm."""
    x, order = op.required(0), op.node.attributes.get_int("p", 2)
    if order == 2:
        return op.Mul(x, x)
    return op.Abs(x) if order == 1 else op.Pow(op.Abs(x), float(order))


def _norm(op: FormulaBuilder, total: ir.Value) -> ir.Value:
    """The norm from the sum of its summands: Pow(total, 1 / p)."""
    order = op.node.attributes.get_int("p", 2)
    if order == 1:
        return total
    return op.Sqrt(total) if order == 2 else op.Pow(total, 1.0 / order)


def _root_of_size(op: FormulaBuilder, x: ir.Value, axis: int) -> ir.Value:
    """The square root of the size of `x` along `axis`."""
    dtype = op.float_type(x)
    try:
        return op.constant(math.sqrt(op.size(x, axis)), dtype)
    except Unsupported:
        return op.Sqrt(op.Cast(op.Gather(op.Shape(x), [axis]), to=dtype))

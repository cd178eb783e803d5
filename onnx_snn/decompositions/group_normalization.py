# SPDX-License-Identifier: Apache-2.0
"""Normalizations by mean and variance over other axes than the last, or with other outputs, as layer normalizations.

InstanceNormalization(x, scale, bias)      over all elements of a channel
GroupNormalization(x, scale, bias)         over all elements of a group of channels
MeanVarianceNormalization(x)               over its axes, without scale
LayerNormalization(x, scale, bias)         that also returns the mean and the inverse deviation
RMSNormalization(x, scale)                 that is scaled by an activation
"""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported
from onnx_snn.decompositions.normalization import mean, over_root_mean_square
from onnx_snn.graph.shapes import MAX_RANK

_SCALE_BY_CHANNEL_OPSET = 21
"""First opset whose GroupNormalization has a scale for each channel, not for each group."""

_EPSILON = 1e-5
"""Default of the attribute `epsilon` of these operators in ONNX."""

_NO_EPSILON = 1e-18
"""The square of what ONNX adds to the deviation in MeanVarianceNormalization."""

_GROUP = [2, 3]
"""Axes of the elements of a group in [batch, group, 1, elements]."""


def instance_normalization(op: FormulaBuilder) -> Outputs:
    """(x - mean) / Sqrt(variance + epsilon) * scale + bias over all axes but batch and channel."""
    x = op.required(0)
    normalized = _normalized(op, op.Reshape(x, [0, 0, 1, -1]), _GROUP, _epsilon(op))
    scaled = op.Mul(normalized, op.Reshape(op.required(1), [-1, 1, 1]))
    return [op.Reshape(op.Add(scaled, op.Reshape(op.required(2), [-1, 1, 1])), op.Shape(x))]


def group_normalization(op: FormulaBuilder) -> Outputs:
    """(x - mean) / Sqrt(variance + epsilon) * scale + bias over all axes of a group of channels."""
    x, scale, bias = op.required(0), op.required(1), op.required(2)
    groups, shape, ones = op.node.attributes["num_groups"].as_int(), op.Shape(x), [1] * (op.rank(x) - 2)
    normalized = _normalized(op, op.Reshape(x, [0, groups, 1, -1]), _GROUP, _epsilon(op))
    if op.opset < _SCALE_BY_CHANNEL_OPSET:
        scaled = op.Mul(normalized, op.Reshape(scale, [-1, 1, 1]))
        return [op.Reshape(op.Add(scaled, op.Reshape(bias, [-1, 1, 1])), shape)]
    scaled = op.Mul(op.Reshape(normalized, shape), op.Reshape(scale, [-1, *ones]))
    return [op.Add(scaled, op.Reshape(bias, [-1, *ones]))]


def mean_variance_normalization(op: FormulaBuilder) -> Outputs:
    """(x - mean) / Sqrt(variance) over its axes."""
    return [_normalized(op, op.required(0), list(op.node.attributes.get_ints("axes", (0, 2, 3))), _NO_EPSILON)]


def layer_normalization_with_statistics(op: FormulaBuilder) -> Outputs:
    """The normalization, the mean and 1 / Sqrt(variance + epsilon) over its last axes."""
    x, bias, axes = op.required(0), op.input(2), _last_axes(op)
    y = op.Mul(_normalized(op, x, axes, _epsilon(op)), op.required(1))
    average = mean(op, x, axes)
    deviation = op.Sub(x, average)
    variance = op.Add(mean(op, op.Mul(deviation, deviation), axes), _epsilon(op))
    return [y if bias is None else op.Add(y, bias), average, op.Reciprocal(op.Sqrt(variance))]


def rms_normalization_by_activations(op: FormulaBuilder) -> Outputs:
    """x / Sqrt(mean(x**2) + epsilon) * scale over its last axes."""
    return [op.Mul(over_root_mean_square(op, op.required(0), _last_axes(op), _epsilon(op)), op.required(1))]


def _last_axes(op: FormulaBuilder) -> list[int]:
    """The axes from the attribute `axis` on, from the end."""
    axis = op.node.attributes.get_int("axis", -1)
    first = axis if axis < 0 else axis - op.rank(op.required(0))
    if first < -MAX_RANK:
        raise Unsupported(f"its axis {axis} is none of a tensor")
    return list(range(first, 0))


def _normalized(op: FormulaBuilder, x: ir.Value, axes: list[int], epsilon: float) -> ir.Value:
    """(x - mean) / Sqrt(mean((x - mean)**2) + epsilon) over `axes`."""
    return over_root_mean_square(op, op.Sub(x, mean(op, x, axes)), axes, epsilon)


def _epsilon(op: FormulaBuilder) -> float:
    return op.node.attributes.get_float("epsilon", _EPSILON)

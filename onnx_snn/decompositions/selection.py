# SPDX-License-Identifier: Apache-2.0
"""Functions that select between parts of an activation: a neuron computes the parts, comparisons select exactly.

    PRelu(x, slope)                Relu(x) + slope * (x - Relu(x))
    ThresholdedRelu(x, alpha)      Relu(x) where x > alpha, else 0; Relu(x) - Relu(-x) for a negative alpha
    Shrink(x, bias, l)             |x| - bias where x > l, bias - |x| where x < -l, else 0

At a jump, a fitted function would err by the whole jump between the last calibrated argument before and the first one
behind it.
"""

from __future__ import annotations

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported


def prelu(op: FormulaBuilder) -> Outputs:
    """Relu(x) + slope * (x - Relu(x))."""
    x, slope = op.required(0), op.required(1)
    positive = op.Relu(x)
    return [op.Add(positive, op.Mul(slope, op.Sub(x, positive)))]


def thresholded_relu(op: FormulaBuilder) -> Outputs:
    """Relu(x) where x > alpha, else 0."""
    x, alpha = op.required(0), op.node.attributes.get_float("alpha", 1.0)
    value, zero = op.Relu(x), op.constant(0.0, op.float_type(x))
    if alpha < 0.0:
        value = op.Sub(value, op.Relu(op.Neg(x)))
    return [op.Where(op.Greater(x, alpha), value, zero)]


def shrink(op: FormulaBuilder) -> Outputs:
    """|x| - bias where x > l, bias - |x| where x < -l, else 0."""
    x, attributes = op.required(0), op.node.attributes
    bias, limit = attributes.get_float("bias", 0.0), attributes.get_float("lambd", 0.5)
    if limit < 0.0:
        raise Unsupported(f"Shrink with the negative limit {limit:g} is not supported")
    magnitude, zero = op.Abs(x), op.constant(0.0, op.float_type(x))
    shift = op.constant(bias, op.float_type(x))
    negative = op.Where(op.Less(x, -limit), op.Sub(shift, magnitude), zero)
    return [op.Where(op.Greater(x, limit), op.Sub(magnitude, shift), negative)]

# SPDX-License-Identifier: Apache-2.0
"""Normalizations that are fused with the sum before them.

    SkipLayerNormalization(x, skip, gamma, beta, bias)         LayerNormalization(x + skip + bias)
    SkipSimplifiedLayerNormalization(x, skip, gamma, bias)     RMSNormalization(x + skip + bias)
    EmbedLayerNormalization(ids, segments, tables, ...)        LayerNormalization(word + position + segment)

Each also returns the sum where it is read. Their outputs for training (mean and inverse deviation) are not supported.
"""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported

_LAYER_OPSET = 17
"""First opset with the standard operator LayerNormalization; before it, its formula is used."""

_RMS_OPSET = 23
"""First opset with the standard operator RMSNormalization; before it, its formula is used."""

_AXES_INPUT_OPSET = 18
"""First opset whose ReduceMean takes its axes as an input."""

_EPSILON = 1e-12
"""Default of the attribute `epsilon` in onnxruntime."""


def skip_layer_normalization(op: FormulaBuilder) -> Outputs:
    """LayerNormalization(x + skip + bias)."""
    total = _sum(op, bias=4)
    return [layer_normalization(op, total, op.required(2), op.input(3), _epsilon(op)), None, None, total]


def skip_rms_normalization(op: FormulaBuilder) -> Outputs:
    """RMSNormalization(x + skip + bias)."""
    total = _sum(op, bias=3)
    return [rms_normalization(op, total, op.required(2), _epsilon(op)), None, None, total]


def embed_layer_normalization(op: FormulaBuilder) -> Outputs:
    """LayerNormalization(word[ids] + position[positions] + segment[segments])."""
    ids, segments, mask, positions = op.required(0), op.input(1), op.input(7), op.input(8)
    words, position_table, segment_table = op.required(2), op.required(3), op.input(4)
    if positions is None:
        placed = op.Slice(position_table, [0], op.Gather(op.Shape(ids), [1]), [0])
    else:
        placed = op.Gather(position_table, positions)
    total = op.Add(op.Gather(words, ids), placed)
    if segments is not None and segment_table is not None:
        total = op.Add(total, op.Gather(segment_table, segments))
    lengths = _lengths(op, ids, mask) if op.wants(1) else None
    return [layer_normalization(op, total, op.required(5), op.required(6), _epsilon(op)), lengths, total]


def layer_normalization(
    op: FormulaBuilder, x: ir.Value, gamma: ir.Value, beta: ir.Value | None, epsilon: float
) -> ir.Value:
    """(x - mean) / Sqrt(mean((x - mean)**2) + epsilon) * gamma + beta over the last axis."""
    if op.opset >= _LAYER_OPSET:
        return op.LayerNormalization(x, gamma, beta, axis=-1, epsilon=epsilon)
    deviation = op.Sub(x, mean(op, x, [-1]))
    scaled = op.Mul(over_root_mean_square(op, deviation, [-1], epsilon), gamma)
    return scaled if beta is None else op.Add(scaled, beta)


def rms_normalization(op: FormulaBuilder, x: ir.Value, gamma: ir.Value, epsilon: float) -> ir.Value:
    """x / Sqrt(mean(x**2) + epsilon) * gamma over the last axis."""
    if op.opset >= _RMS_OPSET:
        return op.RMSNormalization(x, gamma, axis=-1, epsilon=epsilon)
    return op.Mul(over_root_mean_square(op, x, [-1], epsilon), gamma)


def over_root_mean_square(op: FormulaBuilder, x: ir.Value, axes: list[int], epsilon: float) -> ir.Value:
    """x / Sqrt(mean(x**2) + epsilon) over `axes`."""
    return op.Div(x, op.Sqrt(op.Add(mean(op, op.Mul(x, x), axes), epsilon)))


def mean(op: FormulaBuilder, x: ir.Value, axes: list[int]) -> ir.Value:
    """The mean of `x` over `axes`, which stay."""
    return op.ReduceMean(x, axes) if op.opset >= _AXES_INPUT_OPSET else op.ReduceMean(x, axes=axes)


def _sum(op: FormulaBuilder, bias: int) -> ir.Value:
    """x + skip, plus input `bias` where the node has it."""
    if op.wants(1) or op.wants(2):
        raise Unsupported(
            f"{op.node.op_type} that returns its mean or inverse deviation, for training, is not supported"
        )
    total = op.Add(op.required(0), op.required(1))
    shift = op.input(bias)
    return total if shift is None else op.Add(total, shift)


def _lengths(op: FormulaBuilder, ids: ir.Value, mask: ir.Value | None) -> ir.Value:
    """Number of unmasked tokens of each sequence, int32 [batch]; 0 where there is no mask, as in onnxruntime."""
    if mask is None:
        return op.Expand(op.constant(0, ir.DataType.INT32), op.Gather(op.Shape(ids), [0]))
    return op.ReduceSum(mask, [1], keepdims=0)


def _epsilon(op: FormulaBuilder) -> float:
    return op.node.attributes.get_float("epsilon", _EPSILON)

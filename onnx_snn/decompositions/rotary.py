# SPDX-License-Identifier: Apache-2.0
"""Rotary embedding: pairs of features turned by angles that depend on their position alone.

    a', b' = a * cos - b * sin, a * sin + b * cos

The pairs are the two halves of the rotated features, or neighbours where they are interleaved.
"""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder


def rotate(
    op: FormulaBuilder,
    x: ir.Value,
    cos: ir.Value,
    sin: ir.Value,
    *,
    head_size: int,
    rotated: int,
    interleaved: bool,
) -> ir.Value:
    """The heads `x` [batch, head, position, feature], their first `rotated` features turned.

    Args:
        op: Writes the nodes.
        x: Heads.
        cos: Cosines [batch, 1, position, rotated / 2].
        sin: Sines of the same shape.
        head_size: Number of features of a head.
        rotated: How many of them are turned.
        interleaved: Whether a pair are neighbours.
    """
    turned, *rest = op.split(x, [rotated, head_size - rotated], axis=-1) if rotated < head_size else (x,)
    half = rotated // 2
    if interleaved:
        pairs = op.Reshape(turned, [0, 0, 0, half, 2])
        a, b = (op.Squeeze(part, [-1]) for part in op.split(pairs, [1, 1], axis=-1))
    else:
        a, b = op.split(turned, [half, half], axis=-1)
    first = op.Sub(op.Mul(a, cos), op.Mul(b, sin))
    second = op.Add(op.Mul(a, sin), op.Mul(b, cos))
    if interleaved:
        pairs = op.Concat(op.Unsqueeze(first, [-1]), op.Unsqueeze(second, [-1]), axis=-1)
        return op.Concat(op.Reshape(pairs, [0, 0, 0, rotated]), *rest, axis=-1)
    return op.Concat(first, second, *rest, axis=-1)

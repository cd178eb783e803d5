# SPDX-License-Identifier: Apache-2.0
"""Rotary embedding: pairs of features rotated by angles that depend on the position (Su et al., arXiv:2104.09864).

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
    """The heads `x` [batch, head, position, feature] with their first `rotated` features rotated.

    Args:
        op: builder of the nodes.
        x: heads.
        cos: cosines [batch, 1, position, rotated / 2].
        sin: sines of the same shape.
        head_size: number of features of a head.
        rotated: number of rotated features.
        interleaved: whether the features of a pair are neighbours.
    """
    features, *rest = op.split(x, [rotated, head_size - rotated], axis=-1) if rotated < head_size else (x,)
    half = rotated // 2
    if interleaved:
        pairs = op.Reshape(features, [0, 0, 0, half, 2])
        a, b = (op.Squeeze(part, [-1]) for part in op.split(pairs, [1, 1], axis=-1))
    else:
        a, b = op.split(features, [half, half], axis=-1)
    first = op.Sub(op.Mul(a, cos), op.Mul(b, sin))
    second = op.Add(op.Mul(a, sin), op.Mul(b, cos))
    if interleaved:
        pairs = op.Concat(op.Unsqueeze(first, [-1]), op.Unsqueeze(second, [-1]), axis=-1)
        return op.Concat(op.Reshape(pairs, [0, 0, 0, rotated]), *rest, axis=-1)
    return op.Concat(first, second, *rest, axis=-1)

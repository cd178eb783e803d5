# SPDX-License-Identifier: Apache-2.0
"""The fused attention operators of onnxruntime.

    Attention(x, w, b, ...)             q, k, v = heads of MatMul(x, w) + b
    MultiHeadAttention(q, k, v, ...)    q, k, v = heads of the inputs + b

    y = Softmax(scale * MatMul(q, k') + masks) @ v,     k = past k, k;     v = past v, v

A mask adds `mask_filter_value` where it is 0. It has a value for each key, for each pair of query and key, or holds the
end of the valid keys (and their start). A causal mask hides the keys after the query completely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported

_MASK_FILTER = -10000.0
"""Default of the attribute `mask_filter_value`, the number that is added to masked scores."""

_INT64 = ir.DataType.INT64

KEYS = 2
"""Axis of the positions in heads [batch, head, position, feature]."""


def fused_attention(op: FormulaBuilder) -> Outputs:
    """com.microsoft.Attention."""
    attributes = op.node.attributes
    for name in ("do_rotary", "past_present_share_buffer"):
        if attributes.get_int(name, 0):
            raise Unsupported(f"Attention with {name} is not supported")
    heads = attributes.get_int("num_heads", 0)
    projected = op.MatMul(op.required(0), op.required(1))
    bias = op.input(2)
    if bias is not None:
        projected = op.Add(projected, bias)
    width = op.size(op.required(1), 1)
    sizes = attributes.get_ints("qkv_hidden_sizes") or [width // 3] * 3
    q, k, v = (split_heads(op, part, heads) for part in op.split(projected, sizes, axis=-1))
    past, past_k, present = op.input(4), None, None
    if past is not None:
        past_k, past_v = (op.Squeeze(part, [0]) for part in op.split(past, [1, 1], axis=0))
        k, v = op.Concat(past_k, k, axis=KEYS), op.Concat(past_v, v, axis=KEYS)
    if op.wants(1):
        present = op.Concat(op.Unsqueeze(k, [0]), op.Unsqueeze(v, [0]), axis=0)
    masks = [*_masks(op, op.input(3), q, k, past_k), *_present(op.input(5))]
    context = attend(op, q, k, v, scale=scale_of(op, sizes[0] // heads), masks=masks)
    return [merge_heads(op, context), present]


def multi_head_attention(op: FormulaBuilder) -> Outputs:
    """com.microsoft.MultiHeadAttention."""
    if op.input(8) is not None or op.input(9) is not None:
        raise Unsupported("MultiHeadAttention with past_sequence_length or cache_indirection is not supported")
    if op.wants(3):
        raise Unsupported("MultiHeadAttention that returns its scores is not supported")
    heads = op.node.attributes.get_int("num_heads", 0)
    q, k, v, width = _heads_of_inputs(op, heads)
    past_k, past_v = op.input(6), op.input(7)
    if past_k is not None and past_v is not None:
        k, v = op.Concat(past_k, k, axis=KEYS), op.Concat(past_v, v, axis=KEYS)
    masks = [*_masks(op, op.input(4), q, k, past_k), *_present(op.input(5))]
    context = attend(op, q, k, v, scale=scale_of(op, width // heads), masks=masks)
    return [merge_heads(op, context), k, v]


def attend(
    op: FormulaBuilder,
    q: ir.Value,
    k: ir.Value,
    v: ir.Value,
    *,
    scale: float,
    masks: Sequence[ir.Value],
    softcap: float = 0.0,
    sink: ir.Value | None = None,
) -> ir.Value:
    """Softmax(scale * MatMul(q, k') + masks) @ v for heads [batch, head, position, feature].

    Args:
        op: builder of the nodes.
        q: queries.
        k: keys.
        v: values.
        scale: factor of the scores.
        masks: summands of the scores.
        softcap: bound of the scores, softcap * tanh(scores / softcap); 0 for none.
        sink: scores [1, head, 1, 1] of a further key without a value; None for none.
    """
    scores = op.Mul(op.MatMul(q, op.Transpose(k, perm=[0, 1, 3, 2])), scale)
    if softcap:
        scores = op.Mul(op.Tanh(op.Div(scores, softcap)), softcap)
    for mask in masks:
        scores = op.Add(scores, mask)
    if sink is None:
        return op.MatMul(op.Softmax(scores, axis=-1), v)
    column = op.Expand(sink, op.Concat(op.Gather(op.Shape(scores), [0, 1, 2]), op.constant([1], _INT64), axis=0))
    probabilities = op.Softmax(op.Concat(scores, column, axis=-1), axis=-1)
    return op.MatMul(op.Slice(probabilities, [0], [-1], [-1]), v)


def split_heads(op: FormulaBuilder, x: ir.Value, heads: int) -> ir.Value:
    """[batch, position, head * feature] as [batch, head, position, feature]."""
    return op.Transpose(op.Reshape(x, [0, 0, heads, -1]), perm=[0, 2, 1, 3])


def merge_heads(op: FormulaBuilder, x: ir.Value) -> ir.Value:
    """[batch, head, position, feature] as [batch, position, head * feature]."""
    return op.Reshape(op.Transpose(x, perm=[0, 2, 1, 3]), [0, 0, -1])


def scale_of(op: FormulaBuilder, head_size: int) -> float:
    """The factor of the scores: the attribute `scale`, or 1 / sqrt(head_size) where it is absent or 0."""
    return op.node.attributes.get_float("scale", 0.0) or 1.0 / math.sqrt(head_size)


def positions(op: FormulaBuilder, x: ir.Value, axis: int = KEYS) -> ir.Value:
    """0, 1, 2, ... along an axis of `x`, int64 [size]."""
    return op.Range(0, op.Squeeze(op.Gather(op.Shape(x), [axis]), [0]), 1)


def hidden(op: FormulaBuilder, visible: ir.Value, like: ir.Value, value: float) -> ir.Value:
    """An additive mask: 0 where `visible`, else `value`, in the type of `like`."""
    dtype = op.float_type(like)
    # A finite value must stay finite in the type of the scores: a row without visible keys has probabilities too.
    finite = max(value, float(dtype.min))
    return op.Where(visible, op.constant(0.0, dtype), op.constant(value if math.isinf(value) else finite, dtype))


def _heads_of_inputs(op: FormulaBuilder, heads: int) -> tuple[ir.Value, ir.Value, ir.Value, int]:
    """Heads of queries, keys and values, and the width (head * feature) of the queries."""
    query, key, value, bias = op.required(0), op.input(1), op.input(2), op.input(3)
    if key is None or value is None or op.rank(query) != 3:
        raise Unsupported("MultiHeadAttention with packed queries, keys and values is not supported")
    width = op.size(query, -1)
    if op.rank(key) == 4:  # cross-attention: keys and values of the encoder, projected before
        if bias is not None:
            query = op.Add(query, op.Slice(bias, [0], [width]))
        return split_heads(op, query, heads), key, value, width
    parts: Sequence[ir.Value] = (query, key, value)
    if bias is not None:
        biases = op.split(bias, [width, width, op.size(bias, 0) - 2 * width], axis=0)
        parts = [op.Add(part, shift) for part, shift in zip(parts, biases, strict=True)]
    q, k, v = (split_heads(op, part, heads) for part in parts)
    return q, k, v, width


def _masks(
    op: FormulaBuilder, mask: ir.Value | None, q: ir.Value, k: ir.Value, past: ir.Value | None
) -> list[ir.Value]:
    """Summands of the scores [batch, head, query, key]: for the mask and for causality."""
    value = op.node.attributes.get_float("mask_filter_value", _MASK_FILTER)
    masks = [] if mask is None else [hidden(op, _visible(op, mask, q, k), q, value)]
    if op.node.attributes.get_int("unidirectional", 0):
        masks.append(hidden(op, _not_after(op, q, k, past), q, -math.inf))
    return masks


def _not_after(op: FormulaBuilder, q: ir.Value, k: ir.Value, past: ir.Value | None) -> ir.Value:
    """Causal mask, bool [query, key]: a query attends to `past` keys and to new ones up to its own position.

    The last query attends to all keys, which matters where there are more new keys than queries.
    """
    columns, rows = positions(op, k), op.Unsqueeze(positions(op, q), [1])
    is_last = op.Equal(rows, op.Sub(op.Gather(op.Shape(q), [KEYS]), 1))
    if past is not None:
        rows = op.Add(rows, op.Gather(op.Shape(past), [KEYS]))
    return op.Or(op.LessOrEqual(columns, rows), is_last)


def _visible(op: FormulaBuilder, mask: ir.Value, q: ir.Value, k: ir.Value) -> ir.Value:
    """Mask of the valid keys, bool, broadcastable to [batch, head, query, key]."""
    rank = op.rank(mask)
    zero = op.constant(0, mask.dtype or ir.DataType.INT32)
    if rank == 3:
        return op.Unsqueeze(op.Greater(mask, zero), [1])
    if rank == 2:
        return op.Unsqueeze(op.Greater(mask, zero), [1, 2])
    if rank != 1:
        raise Unsupported(f"{op.node.op_type} with a mask of {rank} axes is not supported")
    # The first row holds the ends of the keys, an optional second row their starts. Multiplication by the
    # index of the last row, 0 or 1, makes the starts 0 where there is no second row.
    ends_and_starts = op.Cast(mask, to=_INT64)
    rows = op.Reshape(ends_and_starts, op.Concat(op.constant([-1], _INT64), op.Gather(op.Shape(q), [0]), axis=0))
    last = op.Sub(op.Gather(op.Shape(rows), [0]), 1)
    starts = op.Mul(op.Gather(rows, last, axis=0), last)
    ends = op.Gather(rows, [0], axis=0)
    columns = positions(op, k)
    start, end = (op.Reshape(bound, [-1, 1, 1, 1]) for bound in (starts, ends))
    return op.And(op.GreaterOrEqual(columns, start), op.Less(columns, end))


def _present(mask: ir.Value | None) -> list[ir.Value]:
    return [] if mask is None else [mask]

# SPDX-License-Identifier: Apache-2.0
"""com.microsoft.GroupQueryAttention: attention with fewer heads of keys and values than of queries, and a cache.

    y = Softmax(scale * MatMul(q, k') + mask) @ v,     each head of k and v shared by a group of heads of q

Sequences of a batch may have different lengths (`seqlens_k` + 1 each). The new keys and values of a sequence follow
its past ones directly. A query attends to the keys up to its own position, or to the last `local_window_size` of them
where that is set. With `do_rotary`, queries and new keys get a rotary embedding of their positions.

The result of a padded query is arbitrary, as in onnxruntime.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import onnx_ir as ir

from onnx_snn.decompositions.attention import KEYS, attend, hidden, merge_heads, positions, scale_of, split_heads
from onnx_snn.decompositions.builder import FormulaBuilder, Outputs, Unsupported
from onnx_snn.decompositions.rotary import rotate

_UNSUPPORTED_INPUTS = {12: "k_scale", 13: "v_scale", 14: "q_norm_weight", 15: "k_norm_weight"}
_UNSUPPORTED_INPUTS |= {16: "query_seqlens"}
"""Index and name of the inputs that must be absent."""

_REQUIRED_ATTRIBUTES = {"sliding_window_cache": 0, "qk_output": 0, "kv_cache_bit_width": 0, "causal": 1}
"""Attributes that must be absent or have these values."""

_LENGTH = ir.DataType.INT64
"""Element type of lengths and positions."""


class _Lengths(NamedTuple):
    """Lengths of the sequences of a batch, int64.

    Attributes:
        is_prompt: whether all tokens are new, bool [1].
        past: number of past tokens [batch, 1, 1, 1].
        end: number of past and new tokens [batch, 1, 1, 1].
        longest: largest number of past and new tokens [1].
    """

    is_prompt: ir.Value
    past: ir.Value
    end: ir.Value
    longest: ir.Value


def group_query_attention(op: FormulaBuilder) -> Outputs:
    """com.microsoft.GroupQueryAttention."""
    _check(op)
    attributes = op.node.attributes
    heads, groups = attributes.get_int("num_heads", 0), attributes.get_int("kv_num_heads", 0)
    query, key, value, head_size = _parts(op, heads, groups)
    q, k, v = split_heads(op, query, heads), split_heads(op, key, groups), split_heads(op, value, groups)
    lengths = _lengths(op, q)
    # Position of each new token in its sequence, [batch, 1, position, 1].
    rows = op.Add(lengths.past, op.Unsqueeze(positions(op, q), [1]))
    if attributes.get_int("do_rotary", 0):
        angles = _rotary_positions(op, rows, lengths)
        q, k = _rotated(op, q, k, angles, head_size)
    present_k, present_v = (_appended(op, past, new, lengths) for past, new in ((op.input(3), k), (op.input(4), v)))
    all_k, all_v = (
        _repeated(op, op.Slice(present, [0], lengths.longest, [KEYS]), heads, groups, head_size)
        for present in (present_k, present_v)
    )
    masks = [hidden(op, _visible(op, rows, all_k), q, -math.inf)]
    bias = op.input(10)
    context = attend(
        op,
        q,
        all_k,
        all_v,
        scale=scale_of(op, head_size),
        masks=masks if bias is None else [bias, *masks],
        softcap=attributes.get_float("softcap", 0.0),
        sink=_sink(op, q),
    )
    return [merge_heads(op, context), present_k, present_v]


def _check(op: FormulaBuilder) -> None:
    """Raise `Unsupported` for inputs, attributes or outputs that this decomposition does not cover."""
    attributes = op.node.attributes
    for index, name in _UNSUPPORTED_INPUTS.items():
        if op.input(index) is not None:
            raise Unsupported(f"GroupQueryAttention with {name} is not supported")
    for name, value in _REQUIRED_ATTRIBUTES.items():
        if attributes.get_int(name, value) != value:
            raise Unsupported(f"GroupQueryAttention with {name} {attributes.get_int(name, value)} is not supported")
    if any(attributes.get_string(name, "NONE") != "NONE" for name in ("k_quant_type", "v_quant_type")):
        raise Unsupported("GroupQueryAttention with a quantized cache is not supported")
    if op.wants(3):
        raise Unsupported("GroupQueryAttention that returns its scores is not supported")


def _parts(op: FormulaBuilder, heads: int, groups: int) -> tuple[ir.Value, ir.Value, ir.Value, int]:
    """Queries, keys and values [batch, position, head * feature], and the size of a head."""
    query, key, value = op.required(0), op.input(1), op.input(2)
    if key is not None and value is not None:
        return query, key, value, op.size(query, -1) // heads
    head_size = op.size(query, -1) // (heads + 2 * groups)
    q, k, v = op.split(query, [count * head_size for count in (heads, groups, groups)], axis=-1)
    return q, k, v, head_size


def _lengths(op: FormulaBuilder, q: ir.Value) -> _Lengths:
    longest = op.Reshape(op.Cast(op.required(6), to=_LENGTH), [1])
    total = op.Add(op.Reshape(op.Cast(op.required(5), to=_LENGTH), [-1, 1, 1, 1]), 1)
    new = op.Gather(op.Shape(q), [KEYS])
    # A prompt has no past; its shorter sequences are padded at the end.
    is_prompt = op.Equal(new, longest)
    past = op.Where(is_prompt, op.constant(0, _LENGTH), op.Sub(total, new))
    return _Lengths(is_prompt, past, op.Add(past, new), longest)


def _rotary_positions(op: FormulaBuilder, rows: ir.Value, lengths: _Lengths) -> ir.Value:
    """Positions [batch, position] of the rotary embedding: the input `position_ids`, else those in the sequence."""
    in_sequence, given = op.Squeeze(rows, [1, 3]), op.input(9)
    if given is None:
        return in_sequence
    # For a prompt onnxruntime reads only the first position and counts on from it.
    first = op.Gather(op.Reshape(given, [-1]), [0])
    return op.Where(lengths.is_prompt, op.Add(in_sequence, first), given)


def _rotated(
    op: FormulaBuilder, q: ir.Value, k: ir.Value, angles: ir.Value, head_size: int
) -> tuple[ir.Value, ir.Value]:
    """Queries and new keys with the rotary embedding of the positions `angles` [batch, position]."""
    cosines, sines = op.required(7), op.required(8)
    cos, sin = (op.Unsqueeze(op.Gather(table, angles), [1]) for table in (cosines, sines))
    rotated = 2 * op.size(cosines, 1)
    interleaved = bool(op.node.attributes.get_int("rotary_interleaved", 0))
    q, k = (
        rotate(op, heads, cos, sin, head_size=head_size, rotated=rotated, interleaved=interleaved) for heads in (q, k)
    )
    return q, k


def _appended(op: FormulaBuilder, past: ir.Value | None, new: ir.Value, lengths: _Lengths) -> ir.Value:
    """The cache with the `new` heads after the past ones of each sequence; its length is max(buffer, longest)."""
    if past is None:
        return new
    joined = op.Concat(past, new, axis=KEYS)
    buffer = op.Gather(op.Shape(past), [KEYS])
    size = op.Squeeze(op.Max(buffer, lengths.longest), [0])
    columns = op.Unsqueeze(op.Range(0, size, 1), [1])
    moved = op.Add(op.Sub(columns, lengths.past), buffer)
    # Past columns keep their index; columns behind the new ones are set to 0 below, so any index does for them.
    last = op.Sub(op.Gather(op.Shape(joined), [KEYS]), 1)
    indices = op.Where(op.Less(columns, lengths.past), columns, op.Min(moved, last))
    shape = op.Concat(op.Gather(op.Shape(new), [0, 1]), op.Unsqueeze(size, [0]), op.Gather(op.Shape(new), [3]), axis=0)
    gathered = op.GatherElements(joined, op.Expand(indices, shape), axis=KEYS)
    nothing = op.constant(0.0, op.float_type(new))
    return op.Where(op.Less(columns, lengths.end), gathered, nothing)


def _sink(op: FormulaBuilder, q: ir.Value) -> ir.Value | None:
    """Scores [1, head, 1, 1] of the attention sink, a key without a value; None where the operator has none."""
    sink = op.input(11)
    if sink is not None:
        return op.Reshape(sink, [1, -1, 1, 1])
    smooth = op.node.attributes.get_int("smooth_softmax", -1) == 1
    return op.constant([[[[0.0]]]], op.float_type(q)) if smooth else None


def _repeated(op: FormulaBuilder, x: ir.Value, heads: int, groups: int, head_size: int) -> ir.Value:
    """`x` [batch, groups, position, feature] with every head repeated for its group: [batch, heads, ...]."""
    if heads == groups:
        return x
    repeated = op.Expand(op.Unsqueeze(x, [2]), [1, 1, heads // groups, 1, 1])
    return op.Reshape(repeated, [0, heads, -1, head_size])


def _visible(op: FormulaBuilder, rows: ir.Value, keys: ir.Value) -> ir.Value:
    """Causal or sliding-window mask, bool [batch, 1, query, key]."""
    columns = positions(op, keys)
    visible = op.LessOrEqual(columns, rows)
    window = op.node.attributes.get_int("local_window_size", -1)
    return visible if window < 0 else op.And(visible, op.Greater(columns, op.Sub(rows, window)))

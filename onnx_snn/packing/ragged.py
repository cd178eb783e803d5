# SPDX-License-Identifier: Apache-2.0
"""Rows of different lengths in tensors: one after another in a flat tensor, with the length of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnx_snn.packing.graph_writer import EXTENSIONS, GraphWriter


class Rows(NamedTuple):
    """Rows of ids.

    Attributes:
        ids: All of them, int64 [total].
        lengths: How many belong to each row, int64 [rows].
    """

    ids: ir.Value
    lengths: ir.Value


def ends(write: GraphWriter, lengths: ir.Value) -> ir.Value:
    """Where rows begin and end in a flat tensor, int64 [rows + 1]: row i has elements ends[i] to ends[i+1] - 1."""
    return write.Concat([0], write.CumSum(lengths, 0), axis=0)


def differences(write: GraphWriter, bounds: ir.Value) -> ir.Value:
    """Lengths of rows from where they begin and end, the inverse of `ends`: int64 [rows] from int64 [rows + 1]."""
    return write.Sub(write.Slice(bounds, [1], [2**62]), write.Slice(bounds, [0], [-1]))


def places(write: GraphWriter, lengths: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Row of each element of a flat tensor, and its place within the row, both int64 [total]."""
    longest = write.ReduceMax(write.Concat([0], lengths, axis=0), keepdims=0)
    taken = write.Less(write.Range(0, longest, 1), write.Unsqueeze(lengths, [1]))
    found = write.NonZero(taken)
    return write.Gather(found, 0, axis=0), write.Gather(found, 1, axis=0)


def pieces(write: GraphWriter, texts: ir.Value, pattern: str, *, kept: bool = True) -> tuple[ir.Value, ir.Value]:
    """What `pattern` of RE2 matches in `texts`, unless not `kept`, and what lies between, without empty pieces.

    Returns:
        The pieces, string [pieces], and where those of each text begin and end, int64 [texts + 1].
    """
    grouped = f"({pattern})"
    found, _, _, bounds = write.op(
        EXTENSIONS, "StringRegexSplitWithOffsets", [texts, [grouped], [grouped if kept else ""]], 4
    )
    return found, bounds


def of_padded(write: GraphWriter, ids: ir.Value, mask: ir.Value) -> Rows:
    """The rows of a tensor that is padded on the right, int64 [rows, longest], with 1 in `mask` where an id is."""
    found = write.Transpose(write.NonZero(mask), perm=[1, 0])
    return Rows(write.GatherND(ids, found), write.ReduceSum(mask, [1], keepdims=0))


def filled(write: GraphWriter, size: ir.Value, index: ir.Value, values: ir.Value) -> ir.Value:
    """int64 [size] with `values` at `index`, and 0 elsewhere."""
    zeros = write.ConstantOfShape(write.Reshape(size, [1]), value=ir.tensor(np.zeros(1, np.int64)))
    return write.ScatterElements(zeros, index, values, axis=0)

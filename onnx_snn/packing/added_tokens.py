# SPDX-License-Identifier: Apache-2.0
"""Added tokens in a text (`</s>`, `[MASK]`): found before anything else, whatever the tokenizer makes of the rest.

A text becomes segments: added tokens, and what lies between them. The longest token that begins at a place counts.
A token with `lstrip` takes the white space before it along, one with `rstrip` that behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import onnx_ir as ir

from onnx_snn.packing.graph_writer import EXTENSIONS, MACHINE_LEARNING, GraphWriter
from onnx_snn.packing.patterns import WHITE_SPACE, escaped
from onnx_snn.packing.ragged import Rows, differences, ends, filled, pieces, places
from onnx_snn.packing.tokenizer_files import AddedToken


class Segments(NamedTuple):
    """Segments of texts, one after another; the last one is empty and belongs to no text.

    Attributes:
        texts: What a tokenizer has to read, string [segments]; empty where the segment is an added token.
        added: The id of the added token, int64 [segments]; -1 where it is none.
        bounds: Text i has segments bounds[i] to bounds[i+1] - 1, int64 [texts + 1].
        first: 1 where a segment is the first of a text, int64 [segments]; else 0.
    """

    texts: ir.Value
    added: ir.Value
    bounds: ir.Value
    first: ir.Value


def split(write: GraphWriter, texts: ir.Value, tokens: Sequence[AddedToken], first: ir.Value | None = None) -> Segments:
    """The segments of `texts`, string [texts].

    Args:
        write: Where nodes are written.
        texts: The texts, or segments of texts.
        tokens: The added tokens.
        first: Which of `texts` is the first segment of a text, int64 [texts]; None where all are whole texts.
    """
    if not tokens:
        bounds = write.Range(0, write.Add(write.Size(texts), 1), 1)
        segments = write.Concat(texts, [""], axis=0)
        added = write.Expand(-1, write.Shape(segments))
        return Segments(segments, added, bounds, _begins(write, added, bounds, first))
    longest_first = sorted(tokens, key=lambda token: -len(token.content))
    found, bounds = pieces(write, texts, "|".join(_pattern(token) for token in longest_first))
    segments = write.Concat(found, [""], axis=0)
    added = write.op(
        MACHINE_LEARNING,
        "LabelEncoder",
        [_stripped(write, segments, tokens)],
        keys_strings=[token.content for token in tokens],
        values_int64s=[token.id for token in tokens],
        default_int64=-1,
    )[0]
    empty = write.Expand([""], write.Shape(segments))
    texts = write.Where(write.Less(added, 0), segments, empty)
    return Segments(texts, added, bounds, _begins(write, added, bounds, first))


def join(write: GraphWriter, segments: Segments, read: Rows) -> Rows:
    """The ids of each text, from what a tokenizer made of its segments (`read`) and its added tokens."""
    is_added = write.GreaterOrEqual(segments.added, 0)
    bounds = ends(write, write.Add(read.lengths, write.Cast(is_added, to=ir.DataType.INT64)))
    row, place = places(write, read.lengths)
    of_added = write.Squeeze(write.NonZero(is_added), [0])
    ids = filled(
        write,
        write.Gather(bounds, -1),
        write.Concat(write.Add(write.Gather(bounds, row), place), write.Gather(bounds, of_added), axis=0),
        write.Concat(read.ids, write.Gather(segments.added, of_added), axis=0),
    )
    return Rows(ids, differences(write, write.Gather(bounds, segments.bounds)))


def _begins(write: GraphWriter, added: ir.Value, bounds: ir.Value, first: ir.Value | None) -> ir.Value:
    """Which segments are the first ones of texts, int64 [segments]; a text without segments marks none."""
    begins = write.Slice(bounds, [0], [-1])
    marks = write.Cast(write.Greater(differences(write, bounds), 0), to=ir.DataType.INT64)
    if first is not None:
        marks = write.Mul(marks, first)
    return write.ScatterElements(write.Mul(added, 0), begins, marks, axis=0, reduction="add")


def _pattern(token: AddedToken) -> str:
    before, behind = (WHITE_SPACE if token.lstrip else ""), (WHITE_SPACE if token.rstrip else "")
    return f"{before}{escaped(token.content)}{behind}"


def _stripped(write: GraphWriter, segments: ir.Value, tokens: Sequence[AddedToken]) -> ir.Value:
    """`segments` without the white space that added tokens took along."""
    hungry = [token for token in tokens if token.lstrip or token.rstrip]
    if not hungry:
        return segments
    pattern = "|".join(escaped(token.content) for token in hungry)
    patterns = [rf"\A{WHITE_SPACE}({pattern}){WHITE_SPACE}\z"], [r"\1"]
    return write.op(EXTENSIONS, "StringRegexReplace", [segments, *patterns])[0]

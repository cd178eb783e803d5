# SPDX-License-Identifier: Apache-2.0
"""Added tokens in a text (`</s>`, `[MASK]`): found before anything else, whatever the tokenizer makes of the rest.

A text becomes segments: added tokens, and what lies between them. The longest token that begins at a place counts.
A token with `lstrip` takes the white space before it along, one with `rstrip` that behind it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import onnx_ir as ir

from onnx_snn.packing.graph_writer import EXTENSIONS, MACHINE_LEARNING, GraphWriter
from onnx_snn.packing.ragged import Rows, differences, ends, filled, places
from onnx_snn.packing.tokenizer_files import AddedToken

WHITE_SPACE = r"[\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]*"
"""White space of Unicode as a pattern of RE2, whose `\\s` knows ASCII only."""


class Segments(NamedTuple):
    """Segments of texts, one after another; the last one is empty and belongs to no text.

    Attributes:
        texts: What a tokenizer has to read, string [segments]; empty where the segment is an added token.
        added: The id of the added token, int64 [segments]; -1 where it is none.
        bounds: Text i has segments bounds[i] to bounds[i+1] - 1, int64 [texts + 1].
    """

    texts: ir.Value
    added: ir.Value
    bounds: ir.Value


def split(write: GraphWriter, texts: ir.Value, tokens: Sequence[AddedToken]) -> Segments:
    """The segments of `texts`, string [texts]."""
    if not tokens:
        bounds = write.Range(0, write.Add(write.Size(texts), 1), 1)
        segments = write.Concat(texts, [""], axis=0)
        return Segments(segments, write.Expand(-1, write.Shape(segments)), bounds)
    longest_first = sorted(tokens, key=lambda token: -len(token.content))
    pattern = f"({'|'.join(_pattern(token) for token in longest_first)})"
    found, _, _, bounds = write.op(EXTENSIONS, "StringRegexSplitWithOffsets", [texts, [pattern], [pattern]], 4)
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
    return Segments(write.Where(write.Less(added, 0), segments, empty), added, bounds)


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


def _pattern(token: AddedToken) -> str:
    before, behind = (WHITE_SPACE if token.lstrip else ""), (WHITE_SPACE if token.rstrip else "")
    return f"{before}{_escaped(token.content)}{behind}"


def _escaped(text: str) -> str:
    """`text` as a pattern; RE2 takes no backslash before a character that is not punctuation of ASCII."""
    return "".join(re.escape(c) if c.isascii() and not c.isspace() else c for c in text)


def _stripped(write: GraphWriter, segments: ir.Value, tokens: Sequence[AddedToken]) -> ir.Value:
    """`segments` without the white space that added tokens took along."""
    hungry = [token for token in tokens if token.lstrip or token.rstrip]
    if not hungry:
        return segments
    pattern = "|".join(_escaped(token.content) for token in hungry)
    patterns = [rf"\A{WHITE_SPACE}({pattern}){WHITE_SPACE}\z"], [r"\1"]
    return write.op(EXTENSIONS, "StringRegexReplace", [segments, *patterns])[0]

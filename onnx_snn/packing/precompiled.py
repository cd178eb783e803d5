# SPDX-License-Identifier: Apache-2.0
"""The normalization that SentencePiece compiles into a tokenizer, written as a graph over single characters."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from onnx_snn.packing.character_map import replaced
from onnx_snn.packing.charsmap import CLUSTER_BYTES, read_charsmap
from onnx_snn.packing.graph_writer import EXTENSIONS, MACHINE_LEARNING, ONNXRUNTIME, GraphWriter

LAST_OF_LENGTH = (0x7F, 0x7FF, 0xFFFF, 0x10FFFF)
"""The last character of one, two, three and four bytes in UTF-8."""

REACH = 3
"""Characters behind the first one that decide whether a cluster is a short one: each has two bytes at least."""


def write_precompiled(write: GraphWriter, texts: ir.Value, compiled: bytes) -> ir.Value:
    """`texts`, string [segments], normalized.

    Raises:
        PackError: the compiled table cannot be read.
    """
    table = read_charsmap(compiled)
    if "\r" in table.singles:
        texts = replaced(write, texts, "\r\n", "\r")  # one cluster
    read = write.op(ONNXRUNTIME, "Tokenizer", [texts], mark=0, mincharnum=1, pad_value="", separators=[""])[0]
    rows = write.Slice(write.Shape(read), [0], [1])
    margin = write.Expand([""], write.Concat(rows, [REACH], axis=0))
    letters = write.Concat(read, margin, axis=1)
    single = _index(write, letters, table.singles)
    known = write.GreaterOrEqual(single, 0)
    mapped = write.Where(known, write.Gather(list(table.singles.values()), write.Max(single, 0), axis=0), letters)
    if table.extending:
        mapped = _with_clusters(write, letters, mapped, known, compiled)
    return write.op(EXTENSIONS, "StringJoin", [mapped, [""], [1]])[0]


def _with_clusters(
    write: GraphWriter, letters: ir.Value, mapped: ir.Value, known: ir.Value, compiled: bytes
) -> ir.Value:
    """`mapped` with what short clusters become at their first letter, and nothing at the others.

    Args:
        write: Where nodes are written.
        letters: Characters, string [segments, longest], with at least `REACH` empty ones at the end of each row.
        mapped: What each becomes by itself.
        known: Where that is by an entry.
        compiled: The compiled table.
    """
    table = read_charsmap(compiled)
    extends = _among(write, letters, table.extending)
    before = _shifted(write, write.Cast(_among(write, letters, table.ending), to=ir.DataType.INT64), -1, 1)
    joins = write.And(extends, write.Equal(before, 0))
    joined = write.Cast(joins, to=ir.DataType.INT64)
    length = _bytes(write, letters)
    reaches, total = None, length
    for distance in range(1, REACH + 1):
        further = _shifted(write, joined, distance, 0)
        reaches = further if reaches is None else write.Mul(reaches, further)
        total = write.Add(total, write.Mul(reaches, _shifted(write, length, distance, 0)))
    several = write.And(write.Not(joins), write.Equal(_shifted(write, joined, 1, 0), 1))
    short = write.And(several, write.LessOrEqual(total, CLUSTER_BYTES))
    second = write.Slice(write.Concat(letters, write.Slice(letters, [-1], [2**62], [1]), axis=1), [1], [2**62], [1])
    pair = _index(write, write.op(EXTENSIONS, "StringConcat", [letters, second])[0], table.pairs)
    is_pair = write.And(short, write.And(write.Not(known), write.GreaterOrEqual(pair, 0)))
    if table.pairs:
        mapped = write.Where(is_pair, write.Gather(list(table.pairs.values()), write.Max(pair, 0), axis=0), mapped)
    replacing = write.Cast(write.Or(is_pair, write.And(short, known)), to=ir.DataType.INT64)
    first = write.Mul(joined, _shifted(write, replacing, -1, 0))
    following = write.Mul(write.Mul(joined, _shifted(write, joined, -1, 0)), _shifted(write, replacing, -2, 0))
    swallowed = write.Greater(write.Add(first, following), 0)
    return write.Where(swallowed, write.Expand([""], write.Shape(letters)), mapped)


def _index(write: GraphWriter, texts: ir.Value, table: Mapping[str, str]) -> ir.Value:
    """Place of each text in `table`, int64; -1 where it is not there."""
    keys = list(table) or ["\0"]
    return write.op(
        MACHINE_LEARNING,
        "LabelEncoder",
        [texts],
        keys_strings=keys,
        values_int64s=list(range(len(keys))),
        default_int64=-1,
    )[0]


def _among(write: GraphWriter, letters: ir.Value, members: list[str]) -> ir.Value:
    return write.GreaterOrEqual(_index(write, letters, dict.fromkeys(members, "")), 0)


def _bytes(write: GraphWriter, letters: ir.Value) -> ir.Value:
    """Bytes of each character in UTF-8, int64; 0 for none."""
    first = 1
    digits = letters
    for count, last in enumerate(LAST_OF_LENGTH, 1):
        digits = replaced(write, digits, rf"\A[\x{{{first:X}}}-\x{{{last:X}}}]\z", str(count))
        first = last + 1
    return write.Add(_index(write, digits, dict.fromkeys("1234", "")), 1)


def _shifted(write: GraphWriter, numbers: ir.Value, distance: int, edge: int) -> ir.Value:
    """`numbers`, int64 [segments, longest], each replaced by the one `distance` places behind it, or by `edge`."""
    pads = [0, max(-distance, 0), 0, max(distance, 0)]
    padded = write.Pad(numbers, pads, edge)
    begin, end = max(distance, 0), min(distance, 0) or 2**62
    return write.Slice(padded, [begin], [end], [1])

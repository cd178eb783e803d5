# SPDX-License-Identifier: Apache-2.0
"""Normalizers that map each character by itself: control characters, accents, case, and spaces around ideographs."""

from __future__ import annotations

import functools
import json
from typing import Any

import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.packing.character_classes import Normalized, normalized, ranges
from onnx_snn.packing.extensions import described_tokenizer
from onnx_snn.packing.graph_writer import EXTENSIONS, MACHINE_LEARNING, ONNXRUNTIME, GraphWriter

SINGLE = ("BertNormalizer", "Lowercase")
"""Normalizers that map each character by itself."""

DECOMPOSING, STRIPPING = ("NFD", "NFKD"), "StripAccents"
"""Normalizers that do so where accents are stripped behind them, because they reorder accents only."""

MAPPING = (*SINGLE, *DECOMPOSING, STRIPPING)
"""All of them."""


def write_character_map(write: GraphWriter, texts: ir.Value, steps: list[dict[str, Any]]) -> ir.Value:
    """`texts`, string [segments], normalized by steps of `MAPPING`.

    Raises:
        PackError: a step reorders accents that stay.
    """
    _check(steps)
    found = _classes(json.dumps(steps))
    for members, replacement in ((found.removed, ""), (found.spaces, " "), (found.isolated, r" \1 ")):
        if members:
            texts = replaced(write, texts, f"([{ranges(members)}])", replacement)
    return _mapped(write, texts, found.others) if found.others else texts


@functools.lru_cache(maxsize=4)
def _classes(steps: str) -> Normalized:
    """What normalizers, as a tokenizer.json has them, do to each character."""
    sequence = {"type": "Sequence", "normalizers": json.loads(steps)}
    return normalized(described_tokenizer(normalizer=sequence).normalizer.normalize_str)


def replaced(write: GraphWriter, texts: ir.Value, pattern: str, replacement: str) -> ir.Value:
    """`texts` with `replacement` for all that `pattern` of RE2 matches."""
    return write.op(EXTENSIONS, "StringRegexReplace", [texts, [pattern], [replacement]])[0]


def _mapped(write: GraphWriter, texts: ir.Value, table: dict[str, str]) -> ir.Value:
    """`texts` with each character of `table` replaced by its entry."""
    characters = write.op(ONNXRUNTIME, "Tokenizer", [texts], mark=0, mincharnum=1, pad_value="", separators=[""])[0]
    index = write.op(
        MACHINE_LEARNING,
        "LabelEncoder",
        [characters],
        keys_strings=list(table),
        values_int64s=list(range(len(table))),
        default_int64=-1,
    )[0]
    entries = write.Gather(list(table.values()), write.Max(index, 0), axis=0)
    mapped = write.Where(write.Less(index, 0), characters, entries)
    return write.op(EXTENSIONS, "StringJoin", [mapped, [""], [1]])[0]


def _check(steps: list[dict[str, Any]]) -> None:
    """Refuse steps that reorder accents which stay.

    Raises:
        PackError: it is one.
    """
    kinds = [step["type"] for step in steps]
    for index, kind in enumerate(kinds):
        if kind in DECOMPOSING and STRIPPING not in kinds[index:]:
            raise PackError(f"the normalizer {kind} of the tokenizer has no operator without {STRIPPING} behind it")
        if kind == STRIPPING and not any(before in DECOMPOSING for before in kinds[:index]):
            raise PackError(
                f"the normalizer {STRIPPING} of the tokenizer has no operator without {DECOMPOSING[0]} before it"
            )

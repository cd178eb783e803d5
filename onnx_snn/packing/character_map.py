# SPDX-License-Identifier: Apache-2.0
"""Normalizers that map each character by itself: control characters, accents, case, and spaces around ideographs."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection
from typing import Any

import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.packing.character_classes import Normalized, normalized, ranges
from onnx_snn.packing.extensions import required
from onnx_snn.packing.graph_writer import EXTENSIONS, MACHINE_LEARNING, ONNXRUNTIME, GraphWriter
from onnx_snn.packing.tokenizer_files import TokenizerFiles

SINGLE = ("BertNormalizer", "Lowercase")
"""Normalizers that map each character by itself."""

DECOMPOSING = ("NFD", "NFKD")
"""Normalizers that do so where accents are stripped behind them, because they reorder accents only."""

STRIPPING = "StripAccents"


def write_character_map(write: GraphWriter, texts: ir.Value, files: TokenizerFiles, beside: Collection[str] = ()) -> ir.Value:
    """`texts`, string [segments], normalized; without the steps `beside`, which leave single characters as they are.

    Raises:
        PackError: the normalizer does more than to map characters.
    """
    _check(files.normalizer, beside)
    found = _classes(str(files.path), json.dumps(files.normalizer))
    for members, replacement in ((found.removed, ""), (found.spaces, " "), (found.isolated, r" \1 ")):
        if members:
            texts = replaced(write, texts, f"([{ranges(members)}])", replacement)
    return _mapped(write, texts, found.others) if found.others else texts


@functools.lru_cache(maxsize=4)
def _classes(path: str, normalizer: str) -> Normalized:  # noqa: ARG001 - the description is a part of the key
    """What the normalizer of a tokenizer.json, of which `normalizer` is the description, does to each character."""
    return normalized(required("tokenizers").Tokenizer.from_file(path).normalizer.normalize_str)


def replaced(write: GraphWriter, texts: ir.Value, pattern: str, replacement: str) -> ir.Value:
    """`texts` with `replacement` for all that `pattern` of RE2 matches."""
    return write.op(EXTENSIONS, "StringRegexReplace", [texts, [pattern], [replacement]])[0]


def _mapped(write: GraphWriter, texts: ir.Value, table: dict[str, str]) -> ir.Value:
    """`texts` with each character of `table` replaced by its entry."""
    characters = write.op(
        ONNXRUNTIME, "Tokenizer", [texts], mark=0, mincharnum=1, pad_value="", separators=[""]
    )[0]
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


def _check(normalizer: dict[str, Any] | None, beside: Collection[str]) -> None:
    """Refuse normalizers that do more than to map characters.

    Raises:
        PackError: it is one.
    """
    steps = normalizer.get("normalizers", [normalizer]) if normalizer else []
    kinds = [step.get("type") for step in steps if step.get("type") not in beside]
    for index, kind in enumerate(kinds):
        if kind in DECOMPOSING and STRIPPING in kinds[index:]:
            continue
        if kind == STRIPPING and any(before in DECOMPOSING for before in kinds[:index]):
            continue
        if kind not in SINGLE:
            raise PackError(
                f"the normalizer {kind} of the tokenizer has no operator; {', '.join(SINGLE)} and {STRIPPING} behind "
                f"{' or '.join(DECOMPOSING)} have"
            )

# SPDX-License-Identifier: Apache-2.0
"""The normalizer of a tokenizer, step by step: maps of characters, compiled tables, replacements and stripping."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.packing.character_map import MAPPING, replaced, write_character_map
from onnx_snn.packing.graph_writer import GraphWriter
from onnx_snn.packing.patterns import WHITE_SPACE, escaped
from onnx_snn.packing.precompiled import write_precompiled

SEVERAL_SPACES = " {2,}"
"""The pattern with which tokenizers make one space of several."""


def write_normalizer(write: GraphWriter, texts: ir.Value, normalizer: dict[str, Any] | None) -> ir.Value:
    """`texts`, string [segments], normalized.

    Args:
        write: Where nodes are written.
        texts: The segments.
        normalizer: `normalizer` of tokenizer.json.

    Raises:
        PackError: a step has no operator.
    """
    steps = normalizer.get("normalizers", [normalizer]) if normalizer else []
    for maps, group in itertools.groupby(steps, lambda step: step.get("type") in MAPPING):
        if maps:
            texts = write_character_map(write, texts, list(group))
            continue
        for step in group:
            texts = _step(write, texts, step)
    return texts


def _step(write: GraphWriter, texts: ir.Value, step: dict[str, Any]) -> ir.Value:
    kind = step.get("type")
    if kind == "Precompiled":
        compiled = base64.b64decode(step.get("precompiled_charsmap") or "")
        return write_precompiled(write, texts, compiled) if compiled else texts
    if kind == "Strip":
        for there, pattern in (
            (step.get("strip_left", True), rf"\A{WHITE_SPACE}"),
            (step.get("strip_right", True), rf"{WHITE_SPACE}\z"),
        ):
            texts = replaced(write, texts, pattern, "") if there else texts
        return texts
    pattern = step.get("pattern", {}) if kind == "Replace" else {}
    content = str(step.get("content", "")).replace("\\", r"\\")
    if pattern.get("String"):
        return replaced(write, texts, escaped(pattern["String"]), content)
    if pattern.get("Regex") == SEVERAL_SPACES:
        return replaced(write, texts, SEVERAL_SPACES, content)
    what = f"{kind} of the pattern {pattern['Regex']!r}" if "Regex" in pattern else kind
    raise PackError(
        f"the normalizer {what} of the tokenizer has no operator; {', '.join(MAPPING)}, Precompiled, Strip and Replace "
        "of a text have"
    )

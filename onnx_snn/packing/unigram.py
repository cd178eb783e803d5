# SPDX-License-Identifier: Apache-2.0
"""Unigram, as of T5 and XLM-R: the likeliest pieces of a text whose spaces are written as U+2581.

SentencePiece itself runs, of which onnxruntime-extensions has the operator, on a model that is made of tokenizer.json.
Where the tokenizer has a compiled normalization SentencePiece does that and the white space; else both are written here.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.packing.added_tokens import WHITE_SPACE, Segments
from onnx_snn.packing.character_map import replaced, write_character_map
from onnx_snn.packing.graph_writer import EXTENSIONS, GraphWriter
from onnx_snn.packing.ragged import Rows, differences
from onnx_snn.packing.sentencepiece_model import sentencepiece_model
from onnx_snn.packing.tokenizer_files import TokenizerFiles

SPACE = "▁"
"""How SentencePiece writes a space."""


class WhiteSpace(NamedTuple):
    """What becomes of white space, and of a compiled normalization before it.

    Attributes:
        charsmap: The normalization.
        words: White space of any kind separates words.
        squeeze: Several spaces become one.
        left: White space at the begin goes.
        right: White space at the end goes.
        prefix: A space is put before a segment that begins with none: "always", for the "first" of a text, "never".
    """

    charsmap: bytes
    words: bool
    squeeze: bool
    left: bool
    right: bool
    prefix: str


def write_unigram(write: GraphWriter, segments: Segments, files: TokenizerFiles) -> Rows:
    """The ids of segments.

    Raises:
        PackError: a step of the tokenizer has no operator.
    """
    model, texts = files.model, segments.texts
    if model.get("unk_id") is None:
        raise PackError("the Unigram model has no id of unknown characters (unk_id), which SentencePiece needs")
    mapping, space = _white_space(files)
    if mapping is not None:
        texts = write_character_map(write, texts, mapping, beside=("Replace", "Strip"))
    if not space.charsmap:
        texts = _spaced(write, segments._replace(texts=texts), space)
    compiled = bool(space.charsmap)
    made = sentencepiece_model(
        [(piece, score) for piece, score in model["vocab"]],
        model["unk_id"],
        {token.id for token in files.added},
        charsmap=space.charsmap,
        collapse=compiled and (space.words or space.squeeze),
        prefix=compiled and space.prefix != "never",
        bytes_of_unknown=bool(model.get("byte_fallback")),
    )
    off = np.array([False])
    options = [[0], np.array([0.0], np.float32), off, off, off, off]
    tokens, bounds, _ = write.op(
        EXTENSIONS, "SentencepieceTokenizer", [texts, *options], 3, model=base64.b64encode(made).decode()
    )
    return Rows(write.Cast(tokens, to=ir.DataType.INT64), differences(write, bounds))


def _spaced(write: GraphWriter, segments: Segments, space: WhiteSpace) -> ir.Value:
    """The texts of `segments` with their spaces as SentencePiece writes them."""
    texts = segments.texts
    if space.squeeze:
        texts = replaced(write, texts, " +", " ")
    for there, pattern in ((space.left, rf"\A{WHITE_SPACE}"), (space.right, rf"{WHITE_SPACE}\z")):
        if there or space.words:
            texts = replaced(write, texts, pattern, "")
    if space.words:
        texts = replaced(write, texts, f"{WHITE_SPACE.removesuffix('*')}+", " ")
    texts = replaced(write, texts, " ", SPACE)
    if space.prefix == "never":
        return texts
    prefixed = replaced(write, texts, rf"\A([^{SPACE}])", rf"{SPACE}\1")
    if space.prefix == "always":
        return prefixed
    begins = write.Slice(segments.bounds, [0], [-1])
    zeros = write.Mul(segments.added, 0)
    first = write.ScatterElements(zeros, begins, write.Expand(1, write.Shape(begins)), axis=0)
    return write.Where(write.Equal(first, 1), prefixed, texts)


def _white_space(files: TokenizerFiles) -> tuple[TokenizerFiles | None, WhiteSpace]:
    """The tokenizer if its normalizer maps characters, and what becomes of white space.

    Raises:
        PackError: a step is none of those that SentencePiece has.
    """
    steps = _steps(files.normalizer, "normalizers")
    splitting = _steps(files.splitting, "pretokenizers")
    kinds = [step["type"] for step in splitting]
    if kinds not in (["Metaspace"], ["WhitespaceSplit", "Metaspace"]):
        raise PackError(f"a Unigram tokenizer that splits texts by {kinds or 'nothing'} has no operator; Metaspace has one")
    if splitting[-1].get("replacement", SPACE) != SPACE:
        raise PackError(f"the tokenizer writes spaces as {splitting[-1]['replacement']!r}; SentencePiece writes {SPACE!r}")
    compiled = [step for step in steps if step["type"] == "Precompiled"]
    charsmap = base64.b64decode(compiled[0]["precompiled_charsmap"] or "") if compiled else b""
    stripped = [step for step in steps if step["type"] == "Strip"]
    others = [step for step in steps if step not in (*compiled, *stripped) and not _squeezes(step)]
    wrong = [step["type"] for step in others if charsmap or step["type"] == "Replace"]
    if wrong:
        raise PackError(f"the normalizer {wrong[0]}{' beside a compiled one' * bool(charsmap)} has no operator")
    return (files if others else None), WhiteSpace(
        charsmap,
        words="WhitespaceSplit" in kinds,
        squeeze=any(map(_squeezes, steps)),
        left=any(step.get("strip_left", True) for step in stripped),
        right=any(step.get("strip_right", True) for step in stripped),
        prefix=_prefix(splitting[-1]),
    )


def _prefix(metaspace: dict[str, Any]) -> str:
    scheme = metaspace.get("prepend_scheme")
    return str(scheme) if scheme else "always" if metaspace.get("add_prefix_space", True) else "never"


def _squeezes(step: dict[str, Any]) -> bool:
    """Whether a normalizer makes one space of several."""
    return (
        step["type"] == "Replace"
        and step.get("pattern", {}).get("Regex") == " {2,}"
        and step.get("content") in (" ", SPACE)
    )


def _steps(part: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    """The steps of a sequence, or the only one."""
    if part is None:
        return []
    steps: list[dict[str, Any]] = part.get(name, [part])
    return steps

# SPDX-License-Identifier: Apache-2.0
"""Unigram, as of T5 and XLM-R: the likeliest pieces of a text whose spaces are written as U+2581.

SentencePiece itself runs, of which onnxruntime-extensions has the operator, on a model that is made of tokenizer.json.
It finds pieces only: normalization and white space, where the `tokenizers` library differs from SentencePiece, are
written here.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.packing.added_tokens import Segments
from onnx_snn.packing.character_map import replaced
from onnx_snn.packing.graph_writer import EXTENSIONS, GraphWriter
from onnx_snn.packing.patterns import WHITE_SPACE
from onnx_snn.packing.ragged import Rows, differences, pieces
from onnx_snn.packing.sentencepiece_model import sentencepiece_model
from onnx_snn.packing.tokenizer_files import TokenizerFiles

SPACE = "▁"
"""How SentencePiece writes a space."""


def write_unigram(write: GraphWriter, segments: Segments, files: TokenizerFiles) -> Rows:
    """The ids of segments.

    Raises:
        PackError: a step of the tokenizer has no operator.
    """
    model = files.model
    if model.get("unk_id") is None:
        raise PackError("the Unigram model has no id of unknown characters (unk_id), which SentencePiece needs")
    texts = _spaced(write, segments, files)
    made = sentencepiece_model(
        [(piece, score) for piece, score in model["vocab"]],
        model["unk_id"],
        {token.id for token in files.added},
        bytes_of_unknown=bool(model.get("byte_fallback")),
    )
    # Words are read one by one, as the library does: a tie between two readings of a word is then decided alike.
    words, limits = pieces(write, texts, f"{SPACE}?[^{SPACE}]+|{SPACE}")
    off = np.array([False])
    options = ([0], np.array([0.0], np.float32), off, off, off, off)
    tokens, bounds, _ = write.op(
        EXTENSIONS, "SentencepieceTokenizer", [words, *options], 3, model=base64.b64encode(made).decode()
    )
    ids = write.Cast(tokens, to=ir.DataType.INT64)
    return Rows(ids, differences(write, write.Gather(bounds, limits)))


def _spaced(write: GraphWriter, segments: Segments, files: TokenizerFiles) -> ir.Value:
    """The texts of `segments` with their spaces as SentencePiece writes them.

    Raises:
        PackError: the texts are split by another step than Metaspace.
    """
    splitting = files.splitting or {}
    steps = splitting.get("pretokenizers", [splitting])
    kinds = [step.get("type") for step in steps]
    if kinds not in (["Metaspace"], ["WhitespaceSplit", "Metaspace"]):
        raise PackError(f"a Unigram tokenizer that splits texts by {kinds} has no operator; Metaspace has one")
    if not steps[-1].get("split", True):
        raise PackError("Metaspace without split joins the words of a text, for which there is no operator")
    if steps[-1].get("replacement", SPACE) != SPACE:
        raise PackError(f"the tokenizer writes spaces as {steps[-1]['replacement']!r}; SentencePiece writes {SPACE!r}")
    texts = segments.texts
    if len(kinds) == 2:
        texts = replaced(write, texts, rf"\A{WHITE_SPACE}|{WHITE_SPACE}\z", "")
        texts = replaced(write, texts, f"{WHITE_SPACE.removesuffix('*')}+", " ")
        texts = replaced(write, texts, f" {SPACE}", SPACE)  # a word that begins with a space gets no other
    texts = replaced(write, texts, " ", SPACE)
    scheme = _prefix(steps[-1])
    if scheme == "never":
        return texts
    prefixed = replaced(write, texts, rf"\A([^{SPACE}])", rf"{SPACE}\1")
    return prefixed if scheme == "always" else write.Where(write.Equal(segments.first, 1), prefixed, texts)


def _prefix(metaspace: dict[str, Any]) -> str:
    """Before which segments a space is put that begin with none: "always", for the "first" of a text, "never"."""
    scheme = metaspace.get("prepend_scheme")
    return str(scheme) if scheme else "always" if metaspace.get("add_prefix_space", True) else "never"

# SPDX-License-Identifier: Apache-2.0
"""From strings to the inputs of a network: the tokenizer as a graph."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from onnx_snn.errors import PackError
from onnx_snn.packing.added_tokens import Segments, join, split
from onnx_snn.packing.byte_level_bpe import write_byte_level_bpe
from onnx_snn.packing.frame import Encoded, frame, positions, segment_types
from onnx_snn.packing.graph_writer import GraphWriter
from onnx_snn.packing.normalization import write_normalizer
from onnx_snn.packing.ragged import Rows
from onnx_snn.packing.tokenizer_files import AddedToken, Framing, TokenizerFiles, read_by_library
from onnx_snn.packing.unigram import write_unigram
from onnx_snn.packing.wordpiece import write_wordpiece

TEXT = "text"
"""Name of the input of a packed network that reads texts."""

INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
"""Inputs of networks that a tokenizer makes."""


def write_tokenizer(
    write: GraphWriter, texts: ir.Value, files: TokenizerFiles, framing: Framing, wanted: Collection[str]
) -> dict[str, ir.Value]:
    """The inputs `wanted`, int64 [texts, longest], of `texts`, string [texts].

    Raises:
        PackError: the tokenizer cannot be expressed.
    """
    segments = split(write, texts, [token for token in files.added if not token.normalized])
    normal = write_normalizer(write, segments.texts, files.normalizer)
    again = [token._replace(content=_normalized_content(token, files)) for token in files.added if token.normalized]
    inner = split(write, normal, again, segments.first)
    read = join(write, inner, _read(write, inner, files))
    encoded = frame(write, join(write, segments, read), framing)
    return {name: _input(write, name, encoded) for name in wanted}


def _normalized_content(token: AddedToken, files: TokenizerFiles) -> str:
    """The text of an added token as it stands in normalized text."""
    normalizer = read_by_library(files.path).normalizer
    return token.content if normalizer is None else str(normalizer.normalize_str(token.content))


def _read(write: GraphWriter, segments: Segments, files: TokenizerFiles) -> Rows:
    """What the model of the tokenizer makes of segments that are no added tokens."""
    kind, texts = files.model.get("type"), segments.texts
    if kind == "Unigram":
        return write_unigram(write, segments, files)
    if kind == "WordPiece":
        return write_wordpiece(write, texts, files)
    if kind == "BPE":
        return write_byte_level_bpe(write, texts, files.model, files.splitting)
    raise PackError(f"a tokenizer of type {kind} has no operator; BPE, WordPiece and Unigram have one")


def _input(write: GraphWriter, name: str, encoded: Encoded) -> ir.Value:
    if name == "position_ids":
        return positions(write, encoded)
    return segment_types(write, encoded) if name == "token_type_ids" else getattr(encoded, name)

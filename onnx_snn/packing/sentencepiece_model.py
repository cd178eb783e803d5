# SPDX-License-Identifier: Apache-2.0
"""A model of SentencePiece, in its protobuf format, of a Unigram vocabulary.

Field numbers are those of sentencepiece_model.proto; protobuf's wire format is a tag, field number and wire type,
before each value.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence

from onnx_snn.graph.protobuf_weights import encoded

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
"""Types of pieces. Control pieces are never found in a text."""

UNIGRAM = 1
"""Type of the model."""

VARINT, LENGTH_DELIMITED, FIXED32 = 0, 2, 5
"""Wire types."""


def sentencepiece_model(
    vocabulary: Sequence[tuple[str, float]],
    unknown: int,
    control: Collection[int],
    *,
    bytes_of_unknown: bool = False,
) -> bytes:
    """The model as SentencePiece reads it.

    Args:
        vocabulary: Pieces and their scores, by id.
        unknown: Id of unknown characters.
        control: Ids of pieces that are never found.
        bytes_of_unknown: Unknown characters become pieces of their bytes.
    """
    pieces = []
    for index, (piece, score) in enumerate(vocabulary):
        kind = NORMAL
        if index == unknown:
            kind = UNKNOWN
        elif index in control:
            kind = CONTROL
        elif bytes_of_unknown and len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            kind = BYTE
        pieces.append(_field(1, _field(1, piece.encode()) + _real(2, score) + _number(3, kind)))
    trainer = _number(3, UNIGRAM) + _number(35, bytes_of_unknown) + _number(40, unknown)
    trainer += b"".join(_number(field, -1) for field in (41, 42, 43)) + _field(45, vocabulary[unknown][0].encode())
    # Texts are read as they are: no normalization, no space before them, no white space removed.
    normalizer = _field(2, b"") + _number(3, 0) + _number(4, 0) + _number(5, 1)
    return b"".join(pieces) + _field(2, trainer) + _field(3, normalizer)


def _number(field: int, value: int) -> bytes:
    return encoded(field << 3 | VARINT) + encoded(value)


def _real(field: int, value: float) -> bytes:
    return encoded(field << 3 | FIXED32) + struct.pack("<f", value)


def _field(field: int, content: bytes) -> bytes:
    return encoded(field << 3 | LENGTH_DELIMITED) + encoded(len(content)) + content

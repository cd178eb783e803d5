# SPDX-License-Identifier: Apache-2.0
"""Texts of a batch side by side: tokens, mask and positions, padded on one side to equal lengths."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from onnx_snn.arrays import Int64

Rows: TypeAlias = "Sequence[Sequence[int]]"
"""The tokens of each text of a batch."""


class Side(enum.Enum):
    """Where padding stands in a text that is shorter than others of its batch."""

    LEFT = "left"
    RIGHT = "right"


def padded(rows: Rows, pad: int, side: Side) -> Int64:
    """Tokens int64 [batch, longest], with `pad` on one side of the shorter texts."""
    mask = mask_of(np.array(list(map(len, rows))), side)
    ids = np.full(mask.shape, pad, np.int64)
    ids[mask == 1] = np.concatenate([np.asarray(row, np.int64) for row in rows])
    return ids


def mask_of(lengths: Int64, side: Side) -> Int64:
    """1 for tokens and 0 for padding, int64 [batch, longest], of texts with `lengths` tokens, [batch]."""
    longest = int(lengths.max())
    columns, sizes = np.arange(longest), lengths[:, None]
    return np.asarray(columns >= longest - sizes if side is Side.LEFT else columns < sizes, np.int64)


def positions_of(mask: Int64) -> Int64:
    """Position of each token in its text, int64 [batch, longest]: 0, 1, ... from its first token on; 0 before it."""
    return np.asarray(np.maximum(np.cumsum(mask, axis=1) - 1, 0))


def last_places(lengths: Int64, side: Side) -> Int64:
    """Column of the last token of each text, int64 [batch]."""
    return lengths - 1 if side is Side.RIGHT else np.full_like(lengths, lengths.max() - 1)

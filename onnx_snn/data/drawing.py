# SPDX-License-Identifier: Apache-2.0
"""Samples drawn evenly over data: without chance, so that every machine draws the same ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly_spaced(total: int, count: int) -> NDArray[np.int64]:
    """Indices of `count` of `total` samples at equal distances, in ascending order; all where `count` is larger."""
    count = min(count, total)
    return np.arange(count, dtype=np.int64) * total // max(count, 1)


def spread(total: int) -> NDArray[np.int64]:
    """The permutation of the indices of `total` samples whose first parts, however long, lie evenly over all of them.

    It follows the van der Corput sequence 0, 1/2, 1/4, 3/4, 1/8, ... (J. G. van der Corput, 1935).
    """
    bits = max(total - 1, 0).bit_length()
    points = np.zeros(1, np.int64)
    for bit in range(bits):
        points = np.concatenate([points, points + (1 << (bits - 1 - bit))])
    indices = points * total >> bits
    _, first = np.unique(indices, return_index=True)
    return indices[np.sort(first)] if total else indices[:0]

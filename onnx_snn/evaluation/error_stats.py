# SPDX-License-Identifier: Apache-2.0
"""How far a tensor of the spiking network is from the original's, summed over batches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class Difference:
    """Running sums over the batches of one tensor.

    Attributes:
        signal: sum of the squares of the original.
        error: sum of the squares of the difference.
        largest: largest absolute difference.
        worst: largest relative error of a batch.
        rows: number of rows that decide between classes: all but the last axis, of tensors of rank 2 or more.
        agreeing: rows in which both tensors have their maximum at the same place.
    """

    signal: float = 0.0
    error: float = 0.0
    largest: float = 0.0
    worst: float = 0.0
    rows: int = 0
    agreeing: int = 0

    def add(self, original: NDArray[Any], spiking: NDArray[Any]) -> None:
        """Count one batch, two tensors of the same shape."""
        # Where the original is not finite there is nothing to be close to; where only the other is not, all is lost.
        finite = np.isfinite(original)
        exact = np.where(finite, original, 0).astype(np.float64)
        difference = np.where(finite, spiking, 0).astype(np.float64) - exact
        difference = np.where(np.isfinite(difference), difference, np.inf)
        signal, error = float((exact**2).sum()), float((difference**2).sum())
        self.signal += signal
        self.error += error
        self.worst = max(self.worst, _relative(error, signal))
        self.largest = max(self.largest, float(np.abs(difference).max(initial=0.0)))
        if original.ndim >= 2 and original.shape[-1] > 1:
            agree = original.argmax(axis=-1) == spiking.argmax(axis=-1)
            self.agreeing += int(agree.sum())
            self.rows += agree.size

    @property
    def relative_error(self) -> float:
        """Frobenius norm of the difference over that of the original; infinite for an original of zeros."""
        return _relative(self.error, self.signal)

    @property
    def agreement(self) -> float | None:
        """Share of rows with the same decision; None without any."""
        return self.agreeing / self.rows if self.rows else None

    @property
    def sqnr_db(self) -> float:
        """Signal to error in decibels; infinite where nothing differs, minus infinite where all is lost."""
        if self.error in (0.0, math.inf):
            return math.inf if self.error == 0.0 else -math.inf
        return float(10.0 * np.log10(max(self.signal, np.finfo(float).tiny) / self.error))


def _relative(error: float, signal: float) -> float:
    return math.sqrt(error / signal) if signal else math.inf

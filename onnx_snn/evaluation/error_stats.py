# SPDX-License-Identifier: Apache-2.0
"""Error statistics of a tensor of the spiking network against the original's, accumulated over batches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class Difference:
    """Running sums of errors of one tensor.

    Attributes:
        signal: sum of squares of the original.
        error: sum of squares of the difference.
        largest: largest absolute difference.
        worst: largest relative error (Frobenius norms) of a batch.
        rows: number of rows along the last axis, of tensors of rank 2 or more, without those in which the original has
            a NaN: one prediction each.
        agreeing: number of rows whose argmax is the same in both tensors.
    """

    signal: float = 0.0
    error: float = 0.0
    largest: float = 0.0
    worst: float = 0.0
    rows: int = 0
    agreeing: int = 0

    def add(self, original: NDArray[Any], spiking: NDArray[Any]) -> None:
        """Add one batch: two tensors of the same shape.

        Elements that are not finite in the original are ignored; where only the spiking tensor is not finite, the error
        is infinite.
        """
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
            predictions = ~np.isnan(original).any(axis=-1)
            agree = original.argmax(axis=-1) == spiking.argmax(axis=-1)
            self.agreeing += int(agree[predictions].sum())
            self.rows += int(predictions.sum())

    def merge(self, other: Difference) -> None:
        """Add the sums of `other`."""
        self.signal += other.signal
        self.error += other.error
        self.worst = max(self.worst, other.worst)
        self.largest = max(self.largest, other.largest)
        self.agreeing += other.agreeing
        self.rows += other.rows

    @property
    def relative_error(self) -> float:
        """Frobenius norm of the difference over that of the original; infinite if only the original is all zeros."""
        return _relative(self.error, self.signal)

    @property
    def agreement(self) -> float | None:
        """Fraction of rows with the same argmax; None if there are no rows."""
        return self.agreeing / self.rows if self.rows else None

    @property
    def sqnr_db(self) -> float:
        """Signal-to-quantization-noise ratio in decibels: 10 log10(signal / error).

        Infinity if nothing differs, minus infinity if the error is infinite.
        """
        if self.error in (0.0, math.inf):
            return math.inf if self.error == 0.0 else -math.inf
        return float(10.0 * np.log10(max(self.signal, np.finfo(float).tiny) / self.error))


def _relative(error: float, signal: float) -> float:
    """Ratio of the norms whose squares are `error` and `signal`; 0 where both are."""
    return math.sqrt(error / signal) if signal else math.inf if error else 0.0

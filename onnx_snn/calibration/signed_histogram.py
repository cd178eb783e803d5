# SPDX-License-Identifier: Apache-2.0
"""Streaming histogram of the float32 values of a tensor, in memory that does not grow with the data.

Merging two histograms is the same as counting both sets of values, in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float32, Float64, Int64
from onnx_snn.calibration.float_bits import BLOCK, EXPONENT_BIAS, MANTISSA_BITS, Arrays, above, as_float32, below

SIGNED_BITS = 5
"""Number of leading mantissa bits in a bin number: 32 bins per octave, so that a bin's centre is within 1.6 % of its
values."""


class SignedHistogram:
    """Histogram of the finite values of a tensor, 32 bins an octave and sign.

    Attributes:
        minimum: Smallest finite value, exact; +inf before any was added.
        maximum: Largest finite value, exact; -inf before any was added.
        nan_count: NaNs met; they enter no bin.
        inf_count: Infinities met; they enter no bin.
    """

    def __init__(self) -> None:
        self.minimum = np.inf
        self.maximum = -np.inf
        self.nan_count = 0
        self.inf_count = 0
        self._bins: Int64 = np.zeros(1 << (9 + SIGNED_BITS), np.int64)

    @property
    def count(self) -> int:
        """Number of finite values."""
        return int(self._bins.sum())

    @property
    def ends(self) -> tuple[float, float]:
        """Range (lo, hi) to which neurons are fitted: minimum and maximum, rounded outward to `EXTREME_BITS` bits."""
        return below(self.minimum), above(self.maximum)

    def add(self, array: NDArray[Any]) -> None:
        """Count every element of `array` (any shape, read as float32)."""
        flat = as_float32(array).ravel()
        for start in range(0, flat.size, BLOCK):
            self._add_block(flat[start : start + BLOCK])

    def _add_block(self, block: Float32) -> None:
        low, high = float(block.min()), float(block.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            block = self._without_nonfinite(block)
            if block.size == 0:
                return
            low, high = float(block.min()), float(block.max())
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        np.add.at(self._bins, block.view(np.uint32) >> np.uint32(MANTISSA_BITS - SIGNED_BITS), 1)

    def _without_nonfinite(self, block: Float32) -> Float32:
        self.nan_count += int(np.isnan(block).sum())
        self.inf_count += int(np.isinf(block).sum())
        return block[np.isfinite(block)]

    def points(self) -> Float64:
        """Centres of the occupied bins in ascending order, float64 [P], none outside of `ends`."""
        return self._occupied()[0]

    def counts(self) -> Int64:
        """Number of values in each bin of `points()`, int64 [P]."""
        return self._occupied()[1]

    def _occupied(self) -> tuple[Float64, Int64]:
        bins = np.flatnonzero(self._bins)
        if bins.size == 0:
            return np.empty(0), np.empty(0, np.int64)
        centres = np.clip(_signed_centres(bins), *self.ends)
        points, place = np.unique(centres, return_inverse=True)
        counts = np.zeros(points.size, np.int64)
        np.add.at(counts, place, self._bins[bins])
        return points, counts

    def merge(self, other: SignedHistogram) -> None:
        """Add the counts of `other`."""
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.nan_count += other.nan_count
        self.inf_count += other.inf_count
        self._bins += other._bins

    def to_arrays(self) -> Arrays:
        """Everything the histogram holds, as arrays for an .npz file."""
        bins = np.flatnonzero(self._bins)
        return {
            "bins": bins,
            "counts": self._bins[bins],
            "range": np.array([self.minimum, self.maximum]),
            "nonfinite": np.array([self.nan_count, self.inf_count]),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return SignedHistogram.from_arrays, (self.to_arrays(),)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> SignedHistogram:
        """The histogram that `to_arrays` turned into `arrays`.

        Raises:
            ValueError: these cannot be arrays of a histogram.
        """
        histogram = cls()
        bins, counts, nonfinite = (arrays[name] for name in ("bins", "counts", "nonfinite"))
        ascending = bins.ndim == 1 and bool((np.diff(bins) > 0).all())
        if not ascending or (bins.size and not 0 <= bins[0] <= bins[-1] < histogram._bins.size):
            raise ValueError("it holds bins that are none")
        if any(array.dtype.kind != "i" or (array < 0).any() for array in (counts, nonfinite)):
            raise ValueError("it holds counts that are none")
        histogram._bins[bins] = counts
        histogram.minimum, histogram.maximum = map(float, arrays["range"])
        if bins.size and not -np.inf < histogram.minimum <= histogram.maximum < np.inf:
            raise ValueError(f"it holds the range {histogram.minimum} to {histogram.maximum}")
        histogram.nan_count, histogram.inf_count = map(int, nonfinite)
        return histogram


def _signed_centres(bins: NDArray[np.intp]) -> Float64:
    """Centres of bins that are numbered by sign, exponent and top mantissa bits; denormals are zero."""
    magnitude = bins & ((1 << (8 + SIGNED_BITS)) - 1)
    exponent, fraction = magnitude >> SIGNED_BITS, magnitude & ((1 << SIGNED_BITS) - 1)
    centres: Float64 = np.ldexp(1.0 + (fraction + 0.5) * 2.0**-SIGNED_BITS, exponent - EXPONENT_BIAS)
    centres[exponent == 0] = 0.0
    return np.where(bins > magnitude, -centres, centres)

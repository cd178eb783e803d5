# SPDX-License-Identifier: Apache-2.0
"""Streaming histograms of the magnitudes of each channel of a tensor, and the powers of two that equalise channels.

Merging two histograms is the same as counting both sets of values, in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float32, Float64, Int64
from onnx_snn.calibration.float_bits import BLOCK, EXPONENT_BIAS, MANTISSA_BITS, Arrays, above, as_float32

MAGNITUDE = np.uint32(0x7FFFFFFF)
"""Bit mask of float32 without the sign bit; the masked bits, read as an integer, order values by magnitude."""

INFINITY = np.uint32(0x7F800000)
"""Magnitude bits of float32 infinity; NaNs are larger, all finite values smaller."""

CHANNEL_BITS = 3
"""Number of leading mantissa bits in a bin number: 8 bins per octave, enough for scales that are powers of two."""

CHANNEL_OCTAVES = range(-24, 40)
"""Exponents of the octaves with bins of their own; smaller magnitudes count as zero, larger ones go to the last bin."""

SPREAD = 8
"""Number of points over which the count of a bin is spread evenly for a fit."""

MAX_SHIFT = 24
"""Largest absolute exponent of the power-of-two scale of a channel relative to the median channel."""

QUIET_SHIFT = 4
"""Largest octaves by which the scale of a channel whose importance is not known is below that of the median channel. A
channel that is quieter still keeps a step that is fine beside the other channels, and may become loud on other data."""


class ScaledHistogram(NamedTuple):
    """Empirical distribution of the magnitudes of an operand after channel scaling.

    Attributes:
        points: float64 [P], centres of the occupied bins in ascending order, none above `maximum`.
        counts: int64 [P].
        maximum: Largest scaled magnitude, rounded up to `EXTREME_BITS` bits.
    """

    points: Float64
    counts: Int64
    maximum: float

    def spread(self) -> tuple[Float64, Float64]:
        """Points and masses, float64 [P * SPREAD] each, when the counts of a bin lie evenly over its width.

        A neuron that is fitted to the centres alone puts short segments there and forgets what lies between, as soon
        as it has about as many segments as a narrow distribution has bins.
        """
        width = np.ldexp(2.0**-CHANNEL_BITS, np.frexp(self.points)[1] - 1)
        start = np.floor(self.points / width) * width
        share = np.where(self.points > 0.0, width, 0.0)[:, None] * (np.arange(SPREAD) + 0.5) / SPREAD
        points = np.minimum(start[:, None] + share, self.maximum)
        return points.reshape(-1), np.repeat(self.counts / SPREAD, SPREAD)


class ChannelHistogram:
    """Histograms of the finite magnitudes of each of C channels, 8 bins an octave.

    Args:
        channels: C.

    Attributes:
        channels: C.
        nonfinite_count: NaNs and infinities met; they enter no bin.
    """

    BINS = 1 + (len(CHANNEL_OCTAVES) << CHANNEL_BITS)
    """Number of bins of a channel; the first counts zeros."""
    _ZERO = ((CHANNEL_OCTAVES.start + EXPONENT_BIAS) << CHANNEL_BITS) - 1
    """Top bits of the largest magnitude that counts as zero."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.nonfinite_count = 0
        # 32 bits halve the memory, which is C * 513 counts; `_widen` comes before they overflow.
        self._bins: NDArray[np.unsignedinteger[Any]] = np.zeros((channels, self.BINS), np.uint32)
        self._maximum: Float32 = np.zeros(channels, np.float32)
        self._rows = 0

    def add(self, array: NDArray[Any], axis: int | tuple[int, ...]) -> None:
        """Count every element of `array`, whose `axis` or axes together index the channels (row-major).

        Args:
            array: Any shape, read as float32.
            axis: One axis, or several; the product of their sizes is C.

        Raises:
            ValueError: the axes do not hold C channels.
        """
        axes = (axis,) if isinstance(axis, int) else tuple(axis)
        moved = np.moveaxis(as_float32(array), axes, range(-len(axes), 0))
        if int(np.prod(moved.shape[moved.ndim - len(axes) :])) != self.channels:
            raise ValueError(f"axes {axes} of shape {array.shape} do not hold {self.channels} channels")
        rows = np.ascontiguousarray(moved).reshape(-1, self.channels)
        self._widen(len(rows))
        offsets = (np.arange(self.channels) * self.BINS - self._ZERO).astype(np.intp)
        step = max(1, BLOCK // self.channels)
        for start in range(0, len(rows), step):
            self._add_block(rows[start : start + step].view(np.uint32) & MAGNITUDE, offsets)

    def _widen(self, rows: int) -> None:
        """Make room for `rows` more values a channel."""
        self._rows += rows
        if self._rows > np.iinfo(self._bins.dtype).max:
            self._bins = self._bins.astype(np.uint64)

    def _add_block(self, magnitudes: NDArray[np.uint32], offsets: NDArray[np.intp]) -> None:
        """Count magnitude bits [rows, C]; `offsets` [C] lead from top bits to places in the flat bins."""
        keys = magnitudes >> np.uint32(MANTISSA_BITS - CHANNEL_BITS)
        np.maximum(keys, np.uint32(self._ZERO), out=keys)
        np.minimum(keys, np.uint32(self._ZERO + self.BINS - 1), out=keys)
        places = keys + offsets
        top = magnitudes.max(axis=0)
        if (top >= INFINITY).any():
            finite = magnitudes < INFINITY
            self.nonfinite_count += int(finite.size - finite.sum())
            places = places[finite]
            top = np.where(finite, magnitudes, np.uint32(0)).max(axis=0)
        np.maximum(self._maximum, top.view(np.float32), out=self._maximum)
        np.add.at(self._bins.reshape(-1), places.reshape(-1), self._bins.dtype.type(1))

    @property
    def count(self) -> int:
        """Number of finite values over all channels."""
        return int(self._bins.sum(dtype=np.int64))

    def maximum(self) -> Float64:
        """Largest finite magnitude of each channel, exact, float64 [C]; 0 for a channel without values."""
        return self._maximum.astype(np.float64)

    def rms(self) -> Float64:
        """Root mean square of each channel, float64 [C], from its bins, hence independent of the order of data."""
        squares = _channel_centres(np.arange(self.BINS)) ** 2
        squares[0] = 0.0
        total = np.array([float((row * squares).sum()) for row in self._bins])
        mean: Float64 = total / np.maximum(self._bins.sum(axis=1, dtype=np.int64), 1)
        return np.sqrt(mean)

    def power_of_two_scales(self, importance: Float64 | None = None) -> Float32:
        """2**round(log2(size / median size)) of each channel, float32 [C].

        Args:
            importance: weight of an error of each channel, float64 [C], >= 0. The size of a channel is 1 / importance;
                None for the root mean square, so that all channels have the same relative error.

        Returns:
            Scales; 1 for a silent channel, the largest one for a channel without importance.
        """
        sizes, lowest = self.rms(), -QUIET_SHIFT if importance is None else -MAX_SHIFT
        if importance is not None:
            sizes = np.divide(1.0, importance, where=importance > 0, out=np.full(self.channels, np.inf))
        active = (sizes > 0) & np.isfinite(sizes)
        scales: Float32 = np.where(np.isinf(sizes), np.float32(2.0**MAX_SHIFT), np.float32(1.0))
        if active.any():
            exponents = _nearest_exponent(sizes[active] / np.median(sizes[active]))
            scales[active] = np.ldexp(np.float32(1), np.clip(exponents, lowest, MAX_SHIFT))
        return scales

    def scaled(self, scales: NDArray[Any]) -> ScaledHistogram:
        """Histogram of magnitude / scale over all channels, by moving bins: no count is split or rounded.

        Args:
            scales: [C], powers of two between 2**-24 and 2**24.

        Raises:
            ValueError: another shape, or a scale that is no such power of two.
        """
        shifts = self._shifts(np.asarray(scales, np.float64))
        margin = MAX_SHIFT << CHANNEL_BITS
        total = np.zeros(self.BINS + 2 * margin, np.int64)
        for shift in np.unique(shifts):
            merged = self._bins[shifts == shift].sum(axis=0, dtype=np.int64)
            start = margin + (int(shift) << CHANNEL_BITS)
            total[start + 1 : start + self.BINS] += merged[1:]
            total[0] += merged[0]
        maximum = above(float((self.maximum() * np.exp2(shifts)).max(initial=0.0)))
        occupied = np.flatnonzero(total)
        centres = np.where(occupied == 0, 0.0, _channel_centres(occupied - margin))
        return ScaledHistogram(np.minimum(centres, maximum), total[occupied], maximum)

    def _shifts(self, scales: Float64) -> NDArray[np.intc]:
        """-log2 of the scales [C]."""
        mantissas, exponents = np.frexp(scales)
        shifts: NDArray[np.intc] = 1 - exponents
        if scales.shape != (self.channels,):
            raise ValueError(f"scales have shape {scales.shape}; expected ({self.channels},)")
        invalid = (mantissas != 0.5) | (np.abs(shifts) > MAX_SHIFT)
        if invalid.any():
            raise ValueError(f"scale {scales[invalid][0]} is not a power of two within 2**+-{MAX_SHIFT}")
        return shifts

    def merge(self, other: ChannelHistogram) -> None:
        """Add the counts of `other`.

        Raises:
            ValueError: it has another number of channels.
        """
        if other.channels != self.channels:
            raise ValueError(f"cannot merge {other.channels} channels into {self.channels}")
        self._widen(other._rows)
        self._bins += other._bins.astype(self._bins.dtype, copy=False)
        np.maximum(self._maximum, other._maximum, out=self._maximum)
        self.nonfinite_count += other.nonfinite_count

    def to_arrays(self) -> Arrays:
        """Everything the histogram holds, as arrays for an .npz file."""
        scalars = np.array([self._rows, self.nonfinite_count])
        return {"bins": self._bins, "maximum": self._maximum, "scalars": scalars}

    def __getstate__(self) -> dict[str, Any]:
        """The attributes, with the bins from the first occupied one to the last: few of all, for most tensors."""
        occupied = np.flatnonzero(self._bins.any(axis=0))
        first, end = (int(occupied[0]), int(occupied[-1]) + 1) if occupied.size else (0, 0)
        return self.__dict__ | {"_bins": self._bins[:, first:end], "first": first}

    def __setstate__(self, state: dict[str, Any]) -> None:
        first, cropped = state.pop("first"), state["_bins"]
        self.__dict__ |= state
        self._bins = np.zeros((self.channels, self.BINS), cropped.dtype)
        self._bins[:, first : first + cropped.shape[1]] = cropped

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> ChannelHistogram:
        """The histogram that `to_arrays` turned into `arrays`.

        Raises:
            ValueError: these cannot be arrays of a histogram.
        """
        bins, maximum, scalars = (arrays[name] for name in ("bins", "maximum", "scalars"))
        histogram = cls(len(maximum))
        fitting = (
            (bins.shape, maximum.shape) == (histogram._bins.shape, histogram._maximum.shape)
            and maximum.dtype == histogram._maximum.dtype
            and all(array.dtype.kind in "iu" and (array >= 0).all() for array in (bins, scalars))
        )
        if not (fitting and bool((maximum >= 0).all()) and np.isfinite(maximum).all()):
            raise ValueError("it holds counts or maxima of channels that are none")
        histogram._bins, histogram._maximum = bins.copy(), maximum.copy()
        histogram._rows, histogram.nonfinite_count = map(int, scalars)
        return histogram


def _channel_centres(bins: NDArray[np.intp]) -> Float64:
    """Centres of channel bins: bin 1 starts at the first octave, others continue below and above."""
    steps = bins - 1
    octave, fraction = steps >> CHANNEL_BITS, steps & ((1 << CHANNEL_BITS) - 1)
    centres: Float64 = np.ldexp(1.0 + (fraction + 0.5) * 2.0**-CHANNEL_BITS, octave + CHANNEL_OCTAVES.start)
    return centres


def _nearest_exponent(values: Float64) -> NDArray[np.intc]:
    """round(log2(value)) by comparing mantissas: no logarithm whose last bit depends on the machine."""
    mantissas, exponents = np.frexp(values)
    return np.where(mantissas < np.sqrt(0.5), exponents - 1, exponents).astype(np.intc)

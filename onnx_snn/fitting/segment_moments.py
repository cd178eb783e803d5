# SPDX-License-Identifier: Apache-2.0
"""The moments of a segment: the contributions of its points to the normal equations of the values at its two knots."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.fitting.knot_search import Target

Matrix: TypeAlias = "list[list[float]]"


class SegmentMoments:
    """The moments of the segments of a target, cached because descents evaluate the same segments repeatedly.

    Args:
        target: function and weights.
        timesteps: bits T of each segment.
        rounding: whether to round at the actual points, else the rounding error is taken as uniform noise.

    Attributes:
        target: function and weights.
        levels: number of levels M of a segment, without level 0.
    """

    def __init__(self, target: Target, timesteps: int, *, rounding: bool = False) -> None:
        self.target, self.levels, self.rounding = target, 2.0**timesteps - 1.0, rounding
        self._known: dict[tuple[float, float, bool, bool], Matrix] = {}
        # Calls with arrays cost more than the arithmetic on a segment: positions are searched in a list.
        self._positions: list[float] = target.points.tolist()
        self._reference = cache(lambda knot: float(np.interp(knot, target.points, target.values)))

    def __call__(self, left: float, right: float, *, first: bool, last: bool) -> Matrix:
        """Moments of the segment from knot `left` to `right`; `first` and `last` extend it to all points beyond."""
        segment = left, right, first, last
        if segment not in self._known:
            self._known[segment] = self._sums(*segment)
        return self._known[segment]

    def references(self, knots: Sequence[float], *, first: bool) -> Float64:
        """Interpolated values of the function at `knots`; solving for differences to them avoids cancellation."""
        values = np.array([self._reference(knot) for knot in knots])
        if first and self.target.anchored:
            values[0] = 0.0
        return values

    def _sums(self, left: float, right: float, first: bool, last: bool) -> Matrix:
        """Weighted sums of the products of (1 - q, q, residual) over the points of the segment: 3 x 3.

        Rounding adds the noise (v_n+1 - v_n)**2 / (12 M**2) at each point, unless it is computed exactly (`rounding`).
        """
        start, stop = (bisect_left(self._positions, knot) for knot in (left, right))
        inside = slice(None if first else start, None if last else stop)
        points, values, weight = (array[inside] for array in self.target[:3])
        features = np.empty((3, len(points)))
        rest, q, residual = features
        np.divide(np.subtract(points, left, out=q), right - left, out=q)
        if first:
            np.maximum(q, 0.0, out=q)
        if last:
            np.minimum(q, 1.0, out=q)
        if self.rounding:
            q[:] = np.floor(q * self.levels + 0.5) / self.levels
        np.subtract(1.0, q, out=rest)
        below, above = 0.0 if first and self.target.anchored else self._reference(left), self._reference(right)
        residual[:] = values - below * rest - above * q
        moments: Matrix = np.add.reduce((features * weight)[:, None] * features, axis=-1).tolist()
        if self.rounding:
            return moments
        noise = float(np.add.reduce(self.target.weight[start:stop])) / (12.0 * self.levels**2)
        fall = below - above
        (ll, lh, lr), (hl, hh, hr), (rl, rh, rr) = moments
        cross = noise * fall
        return [
            [ll + noise, lh - noise, lr - cross],
            [hl - noise, hh + noise, hr + cross],
            [rl - cross, rh + cross, rr + noise * (fall * fall)],
        ]

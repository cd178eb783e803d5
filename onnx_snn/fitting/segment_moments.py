# SPDX-License-Identifier: Apache-2.0
"""The moments of a segment: the contributions of its points to the normal equations of the values at its two knots."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

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
        # Segments hold few points, so that searches in lists and arithmetic of single numbers take most of the time.
        self._points: list[float] = target.points.tolist()
        self._values: list[float] = target.values.tolist()

    def __call__(self, left: float, right: float, *, first: bool, last: bool) -> Matrix:
        """Moments of the segment from knot `left` to `right`; `first` and `last` extend it to all points beyond."""
        segment = left, right, first, last
        if segment not in self._known:
            self._known[segment] = self._sums(*segment)
        return self._known[segment]

    def references(self, knots: Sequence[float], *, first: bool) -> list[float]:
        """Interpolated values of the function at `knots`; solving for differences to them avoids cancellation."""
        values = [self._interpolated(knot) for knot in knots]
        if first and self.target.anchored:
            values[0] = 0.0
        return values

    def _interpolated(self, x: float) -> float:
        """The value at `x` of the line through the two points next to it; beyond the points, that of the last one."""
        above = bisect_right(self._points, x)
        if above == 0 or above == len(self._points):
            return self._values[max(above - 1, 0)]
        left, low = self._points[above - 1], self._values[above - 1]
        return (self._values[above] - low) / (self._points[above] - left) * (x - left) + low

    def _sums(self, left: float, right: float, first: bool, last: bool) -> Matrix:
        """Weighted sums of the products of (1 - q, q, residual) over the points of the segment [3, 3].

        Rounding adds the noise (v_n+1 - v_n)**2 / (12 M**2) at each point, unless it is computed exactly (`rounding`).
        """
        points, values, weight = self.target[:3]
        start, stop = bisect_left(self._points, left), bisect_left(self._points, right)
        inside = slice(None if first else start, None if last else stop)
        q = np.minimum(np.maximum((points[inside] - left) / (right - left), 0.0), 1.0)
        if self.rounding:
            q = np.floor(q * self.levels + 0.5) / self.levels
        below, above = self.references((left, right), first=first)
        features = np.empty((3, q.size))
        np.subtract(1.0, q, out=features[0])
        features[1] = q
        np.subtract(values[inside] - below * features[0], above * q, out=features[2])
        sums: list[list[float]] = np.add.reduce((features * weight[inside])[:, None] * features, axis=-1).tolist()
        if self.rounding:
            return sums
        noise = float(np.add.reduce(weight[start:stop])) / (12.0 * self.levels**2)
        rise = (-1.0, 1.0, below - above)
        return [[sums[i][j] + noise * (rise[i] * rise[j]) for j in range(3)] for i in range(3)]

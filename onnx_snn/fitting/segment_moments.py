# SPDX-License-Identifier: Apache-2.0
"""The moments of a segment: the contributions of its points to the normal equations of the values at its two knots."""

from __future__ import annotations

from collections.abc import Sequence
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

    def __call__(self, left: float, right: float, *, first: bool, last: bool) -> Matrix:
        """Moments of the segment from knot `left` to `right`; `first` and `last` extend it to all points beyond."""
        segment = left, right, first, last
        if segment not in self._known:
            self._known[segment] = self._sums(*segment).tolist()
        return self._known[segment]

    def references(self, knots: Sequence[float], *, first: bool) -> Float64:
        """Interpolated values of the function at `knots`; solving for differences to them avoids cancellation."""
        values = np.interp(knots, self.target.points, self.target.values)
        if first and self.target.anchored:
            values[0] = 0.0
        return values

    def _sums(self, left: float, right: float, first: bool, last: bool) -> Float64:
        """Weighted sums of the products of (1 - q, q, residual) over the points of the segment: float64 [3, 3].

        Rounding adds the noise (v_n+1 - v_n)**2 / (12 M**2) at each point, unless it is computed exactly (`rounding`).
        """
        points, values, weight = self.target[:3]
        start, stop = points.searchsorted((left, right))
        inside = slice(None if first else start, None if last else stop)
        q = np.minimum(np.maximum((points[inside] - left) / (right - left), 0.0), 1.0)
        if self.rounding:
            q = np.floor(q * self.levels + 0.5) / self.levels
        below, above = self.references((left, right), first=first)
        features = np.stack([1.0 - q, q, values[inside] - below * (1.0 - q) - above * q])
        moments: Float64 = ((features * weight[inside])[:, None] * features).sum(axis=-1)
        if not self.rounding:
            rise = np.array([-1.0, 1.0, below - above])
            moments += weight[start:stop].sum() / (12.0 * self.levels**2) * np.outer(rise, rise)
        return moments

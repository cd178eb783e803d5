# SPDX-License-Identifier: Apache-2.0
"""The normal equations of the values at the knots of a piecewise-linear function, solved by elimination.

The error at a point depends on the values at the two knots of its segment only, so the equations are tridiagonal:

    coupling_n-1 * v_n-1  +  pivot_n * v_n  +  coupling_n * v_n+1  =  carried_n

Elimination goes from both ends. What it leaves at each knot of the segments on one side of it is kept, so that after a
change of one or two segments only the knots in between are eliminated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.fitting.segment_moments import Matrix

RIDGE = 1e-13
"""Ridge of the normal equations, relative to a total mass of 1. At a knot without data it makes the value that of the
function itself."""


class _Side(NamedTuple):
    """What the segments on one side of a knot leave there, when the knots beyond it are eliminated.

    Attributes:
        pivot: their share of the diagonal, without the ridge.
        carried: their share of the right-hand side.
        squares: their squared residual with the best values at the knots beyond.
    """

    pivot: float
    carried: float
    squares: float


NOTHING = _Side(0.0, 0.0, 0.0)


class NormalEquations:
    """The equations of N + 1 knots.

    Args:
        moments: moments of the N segments, each 3 x 3 (see `segment_moments`).
        anchored: whether the value at the first knot is fixed at its reference.

    Attributes:
        moments: moments of the segments.
        error: squared residual with the best values.
    """

    def __init__(self, moments: Sequence[Matrix], *, anchored: bool) -> None:
        self.moments, self._anchored = list(moments), anchored
        self._left, self._right = [NOTHING] * (len(moments) + 1), [NOTHING] * (len(moments) + 1)
        self._sweep(0, len(moments))
        self.error = self.error_with([], 0)

    def error_with(self, segments: Sequence[Matrix], start: int) -> float:
        """The error where the segments from `start` on have the moments `segments`."""
        side = self._left[start]
        for n, segment in enumerate(segments, start):
            side = self._after(side, segment, n)
        right = self._right[start + len(segments)]
        carried = side.carried + right.carried
        explained = carried * carried / (RIDGE + side.pivot + right.pivot) if self._free(start + len(segments)) else 0.0
        return max(side.squares + right.squares - explained, 0.0)

    def replace(self, segments: Sequence[Matrix], start: int, error: float) -> None:
        """Give the segments from `start` on the moments `segments`, with which the error is `error`."""
        self.moments[start : start + len(segments)] = segments
        self._sweep(start, start + len(segments))
        self.error = error

    def solution(self) -> Float64:
        """Differences of the best values to the references, float64 [N + 1], by back substitution."""
        value, solution = 0.0, []
        for n in range(len(self.moments), -1, -1):
            coupling = self.moments[n][0][1] if n < len(self.moments) else 0.0
            own = self.moments[n][0] if n < len(self.moments) else [0.0, 0.0, 0.0]
            carried = self._left[n].carried + own[2] - coupling * value
            value = carried / (RIDGE + self._left[n].pivot + own[0]) if self._free(n) else 0.0
            solution.append(value)
        return np.array(solution[::-1])

    def _free(self, knot: int) -> bool:
        """Whether the value at `knot` is not fixed."""
        return knot > 0 or not self._anchored

    def _sweep(self, start: int, stop: int) -> None:
        """Eliminate from the left, beginning with segment `start`, and from the right, beginning before `stop`."""
        for n in range(start, len(self.moments)):
            self._left[n + 1] = self._after(self._left[n], self.moments[n], n)
        for n in range(stop - 1, -1, -1):
            self._right[n] = self._before(self._right[n + 1], self.moments[n])

    def _after(self, left: _Side, segment: Matrix, n: int) -> _Side:
        """What is left of knot n + 1, from what is left of knot n and the segment between them."""
        (low, coupling, carried_low), (_, high, carried_high), (_, _, squares) = segment
        if not self._free(n):
            return _Side(high, carried_high, left.squares + squares)
        pivot, carried = RIDGE + left.pivot + low, left.carried + carried_low
        ratio = coupling / pivot
        explained = carried * carried / pivot
        return _Side(high - ratio * coupling, carried_high - ratio * carried, left.squares + squares - explained)

    @staticmethod
    def _before(right: _Side, segment: Matrix) -> _Side:
        """What is right of a knot, from what is right of the next one and the segment between them."""
        (low, coupling, carried_low), (_, high, carried_high), (_, _, squares) = segment
        pivot, carried = RIDGE + high + right.pivot, carried_high + right.carried
        ratio = coupling / pivot
        explained = carried * carried / pivot
        return _Side(low - ratio * coupling, carried_low - ratio * carried, right.squares + squares - explained)

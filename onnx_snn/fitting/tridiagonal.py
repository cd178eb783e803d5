# SPDX-License-Identifier: Apache-2.0
"""The normal equations of the values at the knots of a piecewise-linear function, solved by elimination.

The error at a point depends on the values at the two knots of its segment only, so the equations are tridiagonal:

    coupling_n-1 * v_n-1  +  pivot_n * v_n  +  coupling_n * v_n+1  =  carried_n

Elimination goes from the first knot to the last. Where one knot after the other moves, the equations before it are
eliminated forward and those after it backward, so that the error of a move takes three rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.fitting.segment_moments import Matrix

RIDGE = 1e-13
"""Ridge of the normal equations, relative to a total mass of 1. At a knot without data it makes the value that of the
function itself."""


class Row(NamedTuple):
    """The equation of a knot after the elimination of all knots on one side of it.

    Attributes:
        coupling: the coupling with the knot on the other side; 0 at the end.
        pivot: diagonal element.
        carried: right-hand side.
        explained: decrease of the squared residual by the values at this knot and at the eliminated ones.
    """

    coupling: float
    pivot: float
    carried: float
    explained: float


NOTHING = Row(0.0, 1.0, 0.0, 0.0)
"""The row beyond an end."""


@dataclass(frozen=True)
class Elimination:
    """The equations of N + 1 knots after elimination.

    Attributes:
        rows: the rows of the knots, from the first one.
        error: squared residual with the best values.
    """

    rows: list[Row]
    error: float

    def solution(self) -> Float64:
        """Differences of the best values to the references, float64 [N + 1], by back substitution."""
        solution = [0.0]
        for row in reversed(self.rows):
            solution.append((row.carried - row.coupling * solution[-1]) / row.pivot)
        return np.array(solution[:0:-1])


def eliminate(moments: Sequence[Matrix], *, anchored: bool) -> Elimination:
    """The elimination of the `moments` [N] of all segments, each 3 x 3 (see `segment_moments`).

    Args:
        moments: the moments.
        anchored: whether the value at the first knot is fixed at its reference.
    """
    rows = [NOTHING]
    for n in range(len(moments) + 1):
        rows.append(_forward(moments, n, rows[-1], anchored))
    residual = math.fsum(segment[2][2] for segment in moments)
    return Elimination(rows[1:], max(residual - rows[-1].explained, 0.0))


class Sweep:
    """The errors of a bank while one knot after the other moves, from the first to the last.

    Args:
        moments: the moments of all segments, in a list that moves edit.
        anchored: whether the value at the first knot is fixed at its reference.
    """

    def __init__(self, moments: Sequence[Matrix], *, anchored: bool) -> None:
        self._moments, self._anchored = moments, anchored
        self._before, self._residuals_before = [NOTHING], [0.0]
        after, residuals = [NOTHING], [0.0]
        for n in range(len(moments), 1, -1):
            after.append(_backward(moments, n, after[-1]))
            residuals.append(residuals[-1] + moments[n - 1][2][2])
        # Element i is the row of knot i + 2, or the residual of segments i + 1 and beyond.
        self._after, self._residuals_after = after[::-1], residuals[::-1]

    def error(self, i: int) -> float:
        """Squared residual with the best values, where no knot before i - 1 or beyond i has moved since the last call.

        The knots of a sweep are asked for in their order.
        """
        moments = self._moments
        while len(self._before) < i:  # knots up to i - 2, whose segments no move touches any more
            n = len(self._before) - 1
            self._before.append(_forward(moments, n, self._before[-1], self._anchored))
            self._residuals_before.append(self._residuals_before[-1] + moments[n][2][2])
        row = self._before[max(i - 1, 0)]
        residual = self._residuals_before[max(i - 1, 0)]
        for n in range(max(i - 1, 0), i + 1):
            row = _forward(moments, n, row, self._anchored)
            residual += moments[n][2][2] if n < len(moments) else 0.0
        if i == len(moments):
            return max(residual - row.explained, 0.0)
        beyond = self._after[i]
        last = _forward(moments, i + 1, row, anchored=False)
        pivot = last.pivot - beyond.coupling * beyond.coupling / beyond.pivot
        carried = last.carried - beyond.coupling * beyond.carried / beyond.pivot
        explained = row.explained + carried * carried / pivot + beyond.explained
        return max(residual + self._residuals_after[i] - explained, 0.0)


def _forward(moments: Sequence[Matrix], n: int, before: Row, anchored: bool) -> Row:
    """The row of knot `n` after the elimination of all before it, the last of which has the row `before`."""
    fixed, coupling, pivot, carried = anchored and n == 0, 0.0, RIDGE, 0.0
    if n < len(moments):
        (own, coupling, right), *_ = moments[n]
        pivot, carried = pivot + own, right
    if n > 0:
        own, right = moments[n - 1][1][1:]
        ratio = before.coupling / before.pivot
        pivot, carried = pivot + own - ratio * before.coupling, carried + right - ratio * before.carried
    if fixed:
        coupling = carried = 0.0
    return Row(coupling, pivot, carried, before.explained + carried * carried / pivot)


def _backward(moments: Sequence[Matrix], n: int, after: Row) -> Row:
    """The row of knot `n` > 0 after the elimination of all beyond it, the next of which has the row `after`."""
    coupling, own, right = moments[n - 1][1]
    pivot, carried = RIDGE + own, right
    if n < len(moments):
        own, _, right = moments[n][0]
        ratio = after.coupling / after.pivot
        pivot, carried = pivot + own - ratio * after.coupling, carried + right - ratio * after.carried
    return Row(coupling, pivot, carried, after.explained + carried * carried / pivot)

# SPDX-License-Identifier: Apache-2.0
"""The normal equations of the values at the knots of a piecewise-linear function, solved by elimination.

The error at a point depends on the values at the two knots of its segment only, so the equations are tridiagonal:

    coupling_n-1 * v_n-1  +  pivot_n * v_n  +  coupling_n * v_n+1  =  carried_n

Elimination goes from the first knot to the last. After a change of one segment it resumes there; earlier rows are
reused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.fitting.segment_moments import Matrix

RIDGE = 1e-13
"""Ridge of the normal equations, relative to a total mass of 1. At a knot without data it makes the value that of the
function itself."""


@dataclass(frozen=True)
class Elimination:
    """The equations of N + 1 knots after elimination, in lists, whose single elements are faster than those of arrays.

    Attributes:
        anchored: whether the value at the first knot is fixed at its reference.
        coupling: superdiagonal, the coupling of each knot with the next one [N].
        pivots: diagonal [N + 1].
        carried: right-hand sides [N + 1].
        explained: decrease of the squared residual by the values at all knots up to each one [N + 1].
        error: squared residual with the best values.
    """

    anchored: bool
    coupling: list[float]
    pivots: list[float]
    carried: list[float]
    explained: list[float]
    error: float

    def resumed(self, moments: Sequence[Matrix], knot: int) -> Elimination:
        """The elimination of `moments` that equal those of this one before segment `knot`."""
        rows = (each[:knot] for each in (self.coupling, self.pivots, self.carried, self.explained))
        return _continued(moments, *rows, anchored=self.anchored)

    def solution(self) -> Float64:
        """Differences of the best values to the references, float64 [N + 1], by back substitution."""
        solution = [self.carried[-1] / self.pivots[-1]]
        for n in range(len(self.coupling) - 1, -1, -1):
            solution.append((self.carried[n] - self.coupling[n] * solution[-1]) / self.pivots[n])
        return np.array(solution[::-1])


def eliminate(moments: Sequence[Matrix], *, anchored: bool) -> Elimination:
    """The elimination of the `moments` [N] of all segments, each 3 x 3 (see `segment_moments`)."""
    return _continued(moments, [], [], [], [], anchored=anchored)


def _continued(
    moments: Sequence[Matrix],
    coupling: list[float],
    pivots: list[float],
    carried: list[float],
    explained: list[float],
    *,
    anchored: bool,
) -> Elimination:
    """Eliminate knot by knot from the first one that the lists lack; they are extended in place."""
    last = len(moments)
    for n in range(len(pivots), last + 1):
        pivot, right, sum_ = RIDGE, 0.0, 0.0
        if n < last:
            pivot, right = pivot + moments[n][0][0], moments[n][0][2]
        if n > 0:
            before = moments[n - 1][1]
            pivot, right = pivot + before[1], right + before[2]
            ratio = coupling[-1] / pivots[-1]
            pivot, right = pivot - ratio * coupling[-1], right - ratio * carried[-1]
            sum_ = explained[-1]
        fixed = anchored and n == 0
        if fixed:
            right = 0.0
        if n < last:
            coupling.append(0.0 if fixed else moments[n][0][1])
        pivots.append(pivot)
        carried.append(right)
        explained.append(sum_ + right * right / pivot)
    residual = math.fsum(segment[2][2] for segment in moments)
    error = max(residual - explained[-1], 0.0)
    return Elimination(anchored, coupling, pivots, carried, explained, error)

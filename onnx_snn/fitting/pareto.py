# SPDX-License-Identifier: Apache-2.0
"""Fronts: of many codes those that no other one betters in both error and spikes, judged on a histogram."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnx_snn.fitting.density import Density

Float64 = NDArray[np.float64]

HISTOGRAM_POINTS = 512
"""Neighbouring points unite until so many are left."""

TYPICAL = 0.999
"""Share of the values that sets the scale of a relative error: what a few massive activations add to the power of a
signal is no reason to lose the rest of it."""

MARGIN = 1e-6
"""By which an error or a number of spikes must be smaller to count as such: rounding noise decides nothing."""


class Judged(Protocol):
    """A code whose error and spikes are known."""

    @property
    def error(self) -> float:
        """Root mean square of the error over that of the signal."""

    @property
    def spikes(self) -> float:
        """Mean over the elements."""


Code = TypeVar("Code", bound=Judged)


class Sample(NamedTuple):
    """The magnitudes on which codes are judged.

    Attributes:
        points: float64 [P].
        mass: float64 [P], their share of the elements.
        weight: float64 [P], how much a squared error counts there; the sum is 1.
        power: mean square of the signal, massive values left out.
    """

    points: Float64
    mass: Float64
    weight: Float64
    power: float

    @classmethod
    def of(cls, density: Density, importance: Float64 | None) -> Sample:
        """The points of `density`, thinned; `importance` [M] says how much a squared error counts at each of them."""
        group = -(-density.points.size // HISTOGRAM_POINTS)
        starts = np.arange(0, density.points.size, group)
        mass = np.maximum(density.mass, np.finfo(float).tiny)
        united: Float64 = np.add.reduceat(mass, starts)
        points: Float64 = np.add.reduceat(density.points * mass, starts) / united
        weight = united if importance is None else np.add.reduceat(importance * mass, starts)
        mass, weight = united / united.sum(), weight / weight.sum()
        typical = points[min(int(np.searchsorted(np.cumsum(mass), TYPICAL)), points.size - 1)]
        return cls(points, mass, weight, float((weight * np.minimum(points, typical) ** 2).sum()))

    def errors(self, answers: Float64) -> Float64:
        """Relative errors [C] of codes that answer `answers` [C, P]."""
        squares = ((answers - self.points) ** 2 * self.weight).sum(axis=1)
        return np.asarray(np.sqrt(squares / max(self.power, np.finfo(float).tiny)))

    def spikes(self, fired: Float64) -> Float64:
        """Mean spikes [C] of codes that fire `fired` [C, P]."""
        return np.asarray((fired * self.mass).sum(axis=1))


def front(codes: Iterable[Code], simplicity: Callable[[Code], Any]) -> list[Code]:
    """The codes that none betters, from the fewest spikes to the smallest error; of equal ones the simplest."""
    found: list[Code] = []
    # Rounded, so that machines agree on the order of equal codes.
    for code in sorted(codes, key=lambda code: (round(code.spikes / MARGIN), simplicity(code))):
        if not found or code.error < found[-1].error * (1.0 - MARGIN):
            found.append(code)
    return found

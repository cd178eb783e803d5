# SPDX-License-Identifier: Apache-2.0
"""How neurons and codes are judged on a histogram: by their error and by the spikes that they fire."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnx_snn.fitting.density import Density
from onnx_snn.fitting.pareto import pareto_front
from onnx_snn.neurons.mbe import MbeNeuron, fired_slots

Float64 = NDArray[np.float64]

HISTOGRAM_POINTS = 512
"""Most points of a sample; neighbouring points of a density unite until so many are left."""

TYPICAL = 0.999
"""Share of the values that sets the scale of a relative error: what a few massive activations add to the power of a
signal is no reason to lose the rest of it."""

MARGIN = 1e-6
"""Share by which an error, and number by which spikes, must be smaller to count as such: rounding noise decides
nothing."""


class Judged(Protocol):
    """A code whose error and spikes are known."""

    @property
    def error(self) -> float:
        """Root mean square of the error over that of the signal."""

    @property
    def spikes(self) -> float:
        """Mean over the elements."""


Code = TypeVar("Code", bound=Judged)


def codes_on_front(codes: Iterable[Code], simplicity: Callable[[Code], Any]) -> list[Code]:
    """The codes that none betters in both spikes and error, by the margin; of equal ones the simplest."""

    def cost(code: Code) -> tuple[int, Any]:
        # Rounded, so that machines agree on the order of equal codes.
        return round(code.spikes / MARGIN), simplicity(code)

    return pareto_front(codes, cost=cost, error=lambda code: code.error, margin=MARGIN)


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


def mean_spikes(neuron: MbeNeuron, points: Float64, counts: NDArray[Any]) -> float:
    """Fired slots per element when the arguments `points` [M] occur `counts` [M] times."""
    return float(np.average(fired_slots(neuron, points), weights=counts))


def relative_error(got: NDArray[Any], exact: Float64, counts: NDArray[Any]) -> float:
    """Root mean square of the error over that of `exact` [M], values that occur `counts` [M] times."""
    error, power = (float(np.average(square, weights=counts)) for square in ((got - exact) ** 2, exact**2))
    return math.sqrt(error / power) if power else math.inf

# SPDX-License-Identifier: Apache-2.0
"""Error and mean spikes of neurons and codes on a histogram."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float64
from onnx_snn.fitting.density import Density
from onnx_snn.fitting.pareto import pareto_front
from onnx_snn.neurons.mbe import MbeNeuron, fired_slots

HISTOGRAM_POINTS = 256
"""Largest number of points of a sample; neighbouring points of a density are merged down to it."""

TYPICAL = 0.999
"""Quantile of the magnitudes at which the signal is clipped when its power is measured, so that a few massive
activations do not make the relative error of the other values look small."""

MARGIN = 1e-6
"""Relative difference of errors and absolute difference of mean spikes below which codes count as equal, so that
rounding noise has no effect."""


class Rated(Protocol):
    """A code whose error and mean spikes are known."""

    @property
    def error(self) -> float:
        """Root mean square of the error over that of the signal."""

    @property
    def spikes(self) -> float:
        """Mean spikes per element."""


Code = TypeVar("Code", bound=Rated)


def codes_on_front(codes: Iterable[Code], simplicity: Callable[[Code], Any]) -> list[Code]:
    """The Pareto front of `codes` in spikes and error, up to `MARGIN`; of equal codes the one of least `simplicity`."""

    def cost(code: Code) -> tuple[int, Any]:
        # Rounded, so that the order of equal codes does not depend on the machine.
        return round(code.spikes / MARGIN), simplicity(code)

    return pareto_front(codes, cost=cost, error=lambda code: code.error, margin=MARGIN)


class Sample(NamedTuple):
    """The distribution of magnitudes on which codes are evaluated.

    Attributes:
        points: magnitudes, float64 [P].
        mass: share of the elements at each point, float64 [P], of sum 1.
        weight: weight of a squared error at each point, float64 [P], of sum 1.
        power: weighted mean square of the signal, clipped at the quantile `TYPICAL`.
    """

    points: Float64
    mass: Float64
    weight: Float64
    power: float

    @classmethod
    def of(cls, density: Density, importance: Float64 | None) -> Sample:
        """The points of `density`, merged to `HISTOGRAM_POINTS`; `importance` [M] weights the squared errors there."""
        group = math.ceil(density.points.size / HISTOGRAM_POINTS)
        starts = np.arange(0, density.points.size, group)
        mass = np.maximum(density.mass, np.finfo(float).tiny)
        merged: Float64 = np.add.reduceat(mass, starts)
        points: Float64 = np.add.reduceat(density.points * mass, starts) / merged
        weight = merged if importance is None else np.add.reduceat(importance * mass, starts)
        mass, weight = merged / merged.sum(), weight / weight.sum()
        typical = points[min(int(np.searchsorted(np.cumsum(mass), TYPICAL)), points.size - 1)]
        return cls(points, mass, weight, float((weight * np.minimum(points, typical) ** 2).sum()))

    def errors(self, outputs: Float64) -> Float64:
        """Relative errors [C] of codes with `outputs` [C, P]."""
        squares = ((outputs - self.points) ** 2 * self.weight).sum(axis=1)
        return np.asarray(np.sqrt(squares / max(self.power, np.finfo(float).tiny)))

    def spikes(self, fired: Float64) -> Float64:
        """Mean spikes [C] of codes with `fired` spikes [C, P]."""
        return np.asarray((fired * self.mass).sum(axis=1))


def mean_spikes(neuron: MbeNeuron, points: Float64, counts: NDArray[Any]) -> float:
    """Mean spikes per element of `neuron` when the arguments `points` [M] occur `counts` [M] times."""
    return float(np.average(fired_slots(neuron, points), weights=counts))


def relative_error(outputs: NDArray[Any], exact: Float64, counts: NDArray[Any]) -> float:
    """Root mean square of `outputs` - `exact` [M] over that of `exact`, weighted by `counts` [M]; inf for power 0."""
    error = float(np.average((outputs - exact) ** 2, weights=counts))
    power = float(np.average(exact**2, weights=counts))
    return math.sqrt(error / power) if power else math.inf

# SPDX-License-Identifier: Apache-2.0
"""The cheapest choice of neurons that meets a goal: prices of distortion, and bisection along the Pareto front."""

from __future__ import annotations

import enum
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.errors import ConfigError
from onnx_snn.fitting.pareto import pareto_front
from onnx_snn.neurons.mbe import MAX_TIMESTEPS
from onnx_snn.tuning.candidates import Candidate
from onnx_snn.tuning.search_space import Knob
from onnx_snn.tuning.trial_runner import TrialRunner, TuningPoint

logger = logging.getLogger(__name__)

PROBE_ERRORS = (1e-2, 1e-4)
"""Relative squared errors near which the sensitivity to a neuron is measured: those at about two and five spikes."""

PRICES = 4000
"""Number of prices of distortion at which choices on the predicted Pareto front are computed."""

OPERATIONS_WEIGHT = 0.25
"""Weight of the synaptic operations relative to that of the spikes, both as shares of their totals, where spikes are
minimized. At the cost of 1 % more spikes it saves 5 % of the operations."""

LEAST_LOG_PRICE, MOST_LOG_PRICE = -16.0, 24.0
"""Natural logarithms of the least and the largest price of distortion, relative to the price at which the sums of the
largest costs and of the largest distortions of all knobs are equal."""


class Minimize(enum.Enum):
    """The quantity that the solver minimizes.

    SPIKES: spikes of all neurons; among choices with about as many, the one with fewer synaptic operations.
    OPERATIONS: synaptic operations, spikes times their fan-out.
    """

    SPIKES = "spikes"
    OPERATIONS = "operations"


@dataclass(frozen=True)
class Goal:
    """The goal of tuning.

    Attributes:
        target_loss: largest relative loss of the metric; None for none.
        max_spikes: largest number of spikes per element; None for none.
        max_timesteps: largest number of time steps of a neuron.
        minimize: the quantity to minimize.

    Raises:
        ConfigError: a value is out of its range, or neither a loss nor a number of spikes is given.
    """

    target_loss: float | None
    max_spikes: float | None
    max_timesteps: int
    minimize: Minimize

    def __post_init__(self) -> None:
        if self.target_loss is None and self.max_spikes is None:
            raise ConfigError("tuning has no goal; give a target_loss, max_spikes or both")
        if self.target_loss is not None and not 0.0 < self.target_loss < 1.0:
            raise ConfigError(
                f"target_loss is {self.target_loss}; expected a relative loss between 0 and 1, such as 0.002"
            )
        if self.max_spikes is not None and not self.max_spikes > 0.0:
            raise ConfigError(f"max_spikes is {self.max_spikes}; expected spikes per element above 0")
        if not 1 <= self.max_timesteps <= MAX_TIMESTEPS:
            raise ConfigError(f"max_timesteps is {self.max_timesteps}; expected 1 to {MAX_TIMESTEPS}")


def minimize_of(value: Minimize | str) -> Minimize:
    """The member of `Minimize` for a member or its value.

    Raises:
        ConfigError: there is no such member.
    """
    try:
        return Minimize(value)
    except ValueError:
        choices = " or ".join(repr(each.value) for each in Minimize)
        raise ConfigError(f"minimize is {value!r}; expected {choices}") from None


Choice = list[tuple[Knob, Candidate]]
"""A candidate for every knob of a network."""

Indices = list[int]
"""Indices of the chosen candidates of all knobs, in the order of the knobs."""


class Solver:
    """Finds the cheapest choice that meets a goal.

    Args:
        runner: runner of the network.
        goal: goal of tuning.

    Attributes:
        tried: the choices that were run, with their measured points.
    """

    def __init__(self, runner: TrialRunner, goal: Goal) -> None:
        self.runner, self.goal = runner, goal
        self.tried: list[tuple[Choice, TuningPoint]] = []
        weights = zip(runner.knobs, self._weights(), strict=True)
        self._costs = [[weight * candidate.spikes for candidate in knob.candidates] for knob, weight in weights]
        self._distortions = self._measured_distortions()

    def solve(self) -> tuple[Choice, TuningPoint]:
        """The cheapest choice that meets the target loss; without a target, the most exact one within `max_spikes`.

        Raises:
            ConfigError: no choice meets the goal.
        """
        choices = self._predicted_front()
        if self.goal.target_loss is not None:
            return self._cheapest(choices, self.goal.target_loss)
        affordable = [choice for choice in choices if self._spikes(choice) <= float(self.goal.max_spikes or 0.0)]
        if not affordable:
            raise ConfigError(
                f"max_spikes is {self.goal.max_spikes}, but the sparsest neurons fire {self._spikes(choices[0]):.3g} "
                "spikes per element; allow more"
            )
        return self._try(affordable[-1])

    def pareto_front(self, chosen: TuningPoint) -> tuple[TuningPoint, ...]:
        """The Pareto front in cost and output error of the choices that were run, from the cheapest to the most exact.

        `chosen` is always part of it, even where another choice is better in both: the decisive loss also depends on
        single predictions.
        """

        def cost(point: TuningPoint) -> tuple[float, float]:
            return self._cost(point), point.relative_error

        tried = [point for _, point in self.tried]
        front = pareto_front(tried, cost=cost, error=lambda point: point.relative_error)
        return tuple(sorted(dict.fromkeys([*front, chosen]), key=cost))

    def _cost(self, point: TuningPoint) -> float:
        """The minimized quantity at `point`."""
        return point.operations if self.goal.minimize is Minimize.OPERATIONS else point.spikes

    def _weights(self) -> NDArray[np.float64]:
        """Cost of one spike per element of each knob, float64 [knobs]."""
        elements = np.array([knob.load.elements for knob in self.runner.knobs])
        operations: NDArray[np.float64] = elements * np.array([knob.load.fan_out for knob in self.runner.knobs])
        if self.goal.minimize is Minimize.OPERATIONS:
            return operations
        return np.asarray(elements / elements.sum() + OPERATIONS_WEIGHT * operations / operations.sum())

    def _measured_distortions(self) -> list[list[float]]:
        """The distortion of every candidate of every knob, interpolated between the probes."""
        knobs = self.runner.knobs
        probes = [[_nearest(knob.candidates, error) for knob in knobs] for error in PROBE_ERRORS]
        measured = [self.runner.distortions(indices) for indices in probes]
        return [
            _interpolated(knob, list(zip(indices, distortions, strict=True)))
            for knob, indices, distortions in zip(
                knobs, zip(*probes, strict=True), zip(*measured, strict=True), strict=True
            )
        ]

    def _predicted_front(self) -> list[Indices]:
        """The distinct choices of least cost + price * distortion over all prices, from the cheapest to the most exact.

        Since costs and predicted distortions of knobs add up, the best choice at a price is that of each knob alone
        (Lagrangian relaxation, as in rate-distortion optimized bit allocation: Shoham and Gersho, IEEE Trans. ASSP 36,
        1988).
        """
        cost, distortion = (sum(map(max, table)) for table in (self._costs, self._distortions))
        middle = math.log(cost / distortion) if cost > 0.0 and distortion > 0.0 else 0.0
        tables = [(np.asarray(a), np.asarray(b)) for a, b in zip(self._costs, self._distortions, strict=True)]
        front: list[Indices] = []
        for price in np.exp(middle + np.linspace(LEAST_LOG_PRICE, MOST_LOG_PRICE, PRICES)):
            choice = [int(np.argmin(costs + price * distortions)) for costs, distortions in tables]
            if not front or choice != front[-1]:
                front.append(choice)
        return front

    def _cheapest(self, choices: Sequence[Indices], target: float) -> tuple[Choice, TuningPoint]:
        """The cheapest choice on the predicted front whose measured loss and confidence bound are within `target`.

        Bounds decrease along the front, so the first one within the target is found by bisection. The measured loss is
        not monotonic, as it jumps with single predictions, so from there on larger and larger steps are taken until it
        is within the target too.
        """
        best = self._try(choices[-1])
        if not best[1].keeps(target):
            remedy = self.runner.range_remedy() or "allow more loss or time steps, or give more data"
            raise ConfigError(
                f"target_loss is {target:.3%}, but the most exact neurons with up to {self.goal.max_timesteps} time "
                f"steps lose {best[1].loss:.3%}, and up to {best[1].bound:.3%} on other data; {remedy}"
            )
        low, high = -1, len(choices) - 1
        with tqdm(desc="solve", disable=None if self.runner.progress else True, unit="trial") as bar:
            while high - low > 1:
                middle = (low + high) // 2
                trial = self._try(choices[middle])
                bar.update()
                if trial[1].bound <= target:
                    high, best = middle, trial
                else:
                    low = middle
            step = 1
            while not best[1].keeps(target):
                high, step = min(high + step, len(choices) - 1), 2 * step
                best = self._try(choices[high])
                bar.update()
        if self.goal.max_spikes is not None and best[1].spikes > self.goal.max_spikes:
            raise ConfigError(
                f"a loss of {target:.3%} takes {best[1].spikes:.3g} spikes per element, more than max_spikes "
                f"{self.goal.max_spikes}; allow more of either"
            )
        return best

    def _spikes(self, indices: Sequence[int]) -> float:
        return self.runner.spikes(self._candidates(indices))

    def _candidates(self, indices: Sequence[int]) -> list[Candidate]:
        return [knob.candidates[i] for knob, i in zip(self.runner.knobs, indices, strict=True)]

    def _try(self, indices: Sequence[int]) -> tuple[Choice, TuningPoint]:
        """Run the network with the candidates of `indices` on the tuning data and record the result."""
        candidates = self._candidates(indices)
        point = self.runner.point(candidates)
        logger.info("tried %s", point)
        self.tried.append((list(zip(self.runner.knobs, candidates, strict=True)), point))
        return self.tried[-1]


def _nearest(candidates: Sequence[Candidate], error: float) -> int:
    """Index of the candidate whose error is closest to `error` in ratio."""
    distances = [abs(math.log(max(one.error, 1e-30) / error)) for one in candidates]
    return int(np.argmin(distances))


def _interpolated(knob: Knob, probes: Sequence[tuple[int, float]]) -> list[float]:
    """Distortions of all candidates of `knob` from those at `probes`, pairs of an index and a distortion.

    Between the probes the distortion is a power of the error, outside it is proportional to the error.
    """
    known = sorted({(knob.candidates[i].error, distortion) for i, distortion in probes})
    errors = [one.error for one in knob.candidates]
    (low, at_low), (high, at_high) = known[0], known[-1]
    if not (low > 0.0 and at_low > 0.0 and at_high > at_low and high > low):
        rate = at_high / high if high > 0.0 else 0.0
        return [rate * error for error in errors]
    power = math.log(at_high / at_low) / math.log(high / low)

    def distortion(error: float) -> float:
        if error < low:
            return at_low * error / low
        if error > high:
            return at_high * error / high
        return float(at_low * (error / low) ** power)

    return [distortion(error) for error in errors]

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
"""Relative squared errors next to which a neuron's sensitivity is measured: those of two and of five spikes or so."""

PRICES = 4000
"""Number of prices that are tried, along the predicted Pareto front."""

OPERATIONS_BESIDE_SPIKES = 0.25
"""Weight of a share of all synaptic operations beside the same share of all spikes, where spikes are saved: for a
hundredth more of these one twentieth of the operations goes."""

LEAST_PRICE, MOST_PRICE = -16.0, 24.0
"""Powers of e between which prices lie, about the one at which the largest costs and distortions are even."""


class Minimize(enum.Enum):
    """What the solver saves.

    SPIKES: those of all neurons, and of choices with about as many the one whose spikes start fewer operations.
    OPERATIONS: synaptic operations, spikes times their fan-out.
    """

    SPIKES = "spikes"
    OPERATIONS = "operations"


@dataclass(frozen=True)
class Goal:
    """What is asked for."""

    target_loss: float | None
    max_spikes: float | None
    max_timesteps: int
    minimize: Minimize

    def __post_init__(self) -> None:
        if self.target_loss is None and self.max_spikes is None:
            raise ConfigError("give a target_loss, max_spikes or both: there is nothing to tune for")
        if self.target_loss is not None and not 0.0 < self.target_loss < 1.0:
            raise ConfigError(f"target_loss is {self.target_loss}; expected a relative loss between 0 and 1, say 0.002")
        if self.max_spikes is not None and not self.max_spikes > 0.0:
            raise ConfigError(f"max_spikes is {self.max_spikes}; expected spikes per element above 0")
        if not 1 <= self.max_timesteps <= MAX_TIMESTEPS:
            raise ConfigError(f"max_timesteps is {self.max_timesteps}; expected 1 to {MAX_TIMESTEPS}")


def minimize_of(value: Minimize | str) -> Minimize:
    """What is to be saved, given as such or by its value.

    Raises:
        ConfigError: it is neither.
    """
    try:
        return Minimize(value)
    except ValueError:
        choices = " or ".join(repr(each.value) for each in Minimize)
        raise ConfigError(f"minimize is {value!r}; expected {choices}") from None


Choice = list[tuple[Knob, Candidate]]


class Solver:
    """Finds the cheapest choice that meets a goal.

    Args:
        runner: runs the network.
        goal: what is asked for.

    Attributes:
        tried: the choices that were run, and what came out.
    """

    def __init__(self, runner: TrialRunner, goal: Goal) -> None:
        self.runner, self.goal = runner, goal
        self.tried: list[tuple[Choice, TuningPoint]] = []
        weights = zip(runner.knobs, self._weights(), strict=True)
        self._costs = [[weight * candidate.spikes for candidate in knob.candidates] for knob, weight in weights]
        self._distortions = self._measured()

    def solve(self) -> tuple[Choice, TuningPoint]:
        """The choice that meets the goal.

        Raises:
            ConfigError: none does.
        """
        ladder = self._ladder()
        if self.goal.target_loss is not None:
            return self._cheapest(ladder, self.goal.target_loss)
        affordable = [rung for rung in ladder if self._spikes(rung) <= float(self.goal.max_spikes or 0.0)]
        if not affordable:
            raise ConfigError(
                f"max_spikes is {self.goal.max_spikes}, but the cheapest neurons fire {self._spikes(ladder[0]):.3g} "
                "spikes per element; allow more"
            )
        return self._try(affordable[-1])

    def pareto_front(self, chosen: TuningPoint) -> tuple[TuningPoint, ...]:
        """What was tried, from the cheapest to the most exact, without what another choice betters in cost and error.

        `chosen` is always among it: of two choices of like error the one may turn a decision that the other does not.
        """

        def cost(point: TuningPoint) -> tuple[float, float]:
            return self._cost(point), point.relative_error

        tried = [point for _, point in self.tried]
        front = pareto_front(tried, cost=cost, error=lambda point: point.relative_error)
        return tuple(sorted(dict.fromkeys([*front, chosen]), key=cost))

    def _cost(self, point: TuningPoint) -> float:
        return point.operations if self.goal.minimize is Minimize.OPERATIONS else point.spikes

    def _weights(self) -> NDArray[np.float64]:
        """What a spike per element of each knob costs, float64 [knobs]."""
        elements = np.array([knob.load.elements for knob in self.runner.knobs])
        operations: NDArray[np.float64] = elements * np.array([knob.load.fan_out for knob in self.runner.knobs])
        if self.goal.minimize is Minimize.OPERATIONS:
            return operations
        return np.asarray(elements / elements.sum() + OPERATIONS_BESIDE_SPIKES * operations / operations.sum())

    def _measured(self) -> list[list[float]]:
        """The distortion of every candidate of every knob, interpolated between the probes."""
        knobs = self.runner.knobs
        probes = [[_nearest(knob.candidates, error) for knob in knobs] for error in PROBE_ERRORS]
        measured = [self.runner.distortions(each) for each in probes]
        return [
            _interpolated(knob, [(each[i], found[i]) for each, found in zip(probes, measured, strict=True)])
            for i, knob in enumerate(knobs)
        ]

    def _ladder(self) -> list[list[int]]:
        """The distinct choices along the prices, from the cheapest to the most exact: for each knob a candidate."""
        cost, harm = (sum(map(max, each)) for each in (self._costs, self._distortions))
        middle = math.log(cost / harm) if cost > 0.0 and harm > 0.0 else 0.0
        tables = [(np.asarray(a), np.asarray(b)) for a, b in zip(self._costs, self._distortions, strict=True)]
        ladder: list[list[int]] = []
        for price in np.exp(middle + np.linspace(LEAST_PRICE, MOST_PRICE, PRICES)):
            rung = [int(np.argmin(costs + price * distortions)) for costs, distortions in tables]
            if not ladder or rung != ladder[-1]:
                ladder.append(rung)
        return ladder

    def _cheapest(self, ladder: Sequence[list[int]], target: float) -> tuple[Choice, TuningPoint]:
        """The first choice along the ladder of which other data keep the target, and from there on these data.

        Bounds grow along it and are bisected. What is seen jumps with every decision that turns, here and there.
        """
        best = self._try(ladder[-1])
        if not best[1].keeps(target):
            raise ConfigError(
                f"target_loss is {target:.3%}, but the most exact neurons with up to {self.goal.max_timesteps} time "
                f"steps lose {best[1].loss:.3%}, and up to {best[1].bound:.3%} on other data; allow more loss or time "
                "steps, or give more data"
            )
        low, high = -1, len(ladder) - 1
        with tqdm(desc="solve", disable=None if self.runner.progress else True, unit="trial") as bar:
            while high - low > 1:
                middle = (low + high) // 2
                found = self._try(ladder[middle])
                bar.update()
                if found[1].bound <= target:
                    high, best = middle, found
                else:
                    low = middle
            step = 1
            while not best[1].keeps(target):
                high, step = min(high + step, len(ladder) - 1), 2 * step
                best = self._try(ladder[high])
                bar.update()
        if self.goal.max_spikes is not None and best[1].spikes > self.goal.max_spikes:
            raise ConfigError(
                f"a loss of {target:.3%} takes {best[1].spikes:.3g} spikes per element, more than max_spikes "
                f"{self.goal.max_spikes}; allow more of either"
            )
        return best

    def _spikes(self, rung: Sequence[int]) -> float:
        return self.runner.spikes(self._candidates(rung))

    def _candidates(self, rung: Sequence[int]) -> list[Candidate]:
        return [knob.candidates[i] for knob, i in zip(self.runner.knobs, rung, strict=True)]

    def _try(self, rung: Sequence[int]) -> tuple[Choice, TuningPoint]:
        """Run a choice on the tuning data."""
        candidates = self._candidates(rung)
        point = self.runner.point(candidates)
        logger.info("tried %s", point)
        self.tried.append((list(zip(self.runner.knobs, candidates, strict=True)), point))
        return self.tried[-1]


def _nearest(candidates: Sequence[Candidate], error: float) -> int:
    """The candidate whose error is closest to `error`, in octaves."""
    distances = [abs(math.log(max(one.error, 1e-30) / error)) for one in candidates]
    return int(np.argmin(distances))


def _interpolated(knob: Knob, probes: Sequence[tuple[int, float]]) -> list[float]:
    """Distortions of all candidates of `knob` from those at `probes` (index, distortion).

    Beyond the probes they are in proportion to the error, between them a power of it.
    """
    known = sorted({(knob.candidates[i].error, found) for i, found in probes})
    errors = [one.error for one in knob.candidates]
    (low, at_low), (high, at_high) = known[0], known[-1]
    if not (low > 0.0 and at_low > 0.0 and at_high > at_low and high > low):
        rate = at_high / high if high > 0.0 else 0.0
        return [rate * error for error in errors]
    power = math.log(at_high / at_low) / math.log(high / low)
    return [
        at_low * error / low
        if error < low
        else at_high * error / high
        if error > high
        else at_low * (error / low) ** power
        for error in errors
    ]

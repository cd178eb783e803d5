# SPDX-License-Identifier: Apache-2.0
"""The cheapest choice of neurons that meets a goal: prices of distortion, and bisection along the Pareto front."""

from __future__ import annotations

import enum
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tqdm import tqdm

from onnx_snn.allocation.budget import SPIKES_WEIGHT
from onnx_snn.allocation.candidates import Candidate
from onnx_snn.allocation.knobs import Knob
from onnx_snn.allocation.price import Indices, predicted_front, spike_costs
from onnx_snn.allocation.sensitivities import distortions
from onnx_snn.errors import ConfigError
from onnx_snn.fitting.pareto import pareto_front
from onnx_snn.neurons.mbe import MAX_TIMESTEPS
from onnx_snn.tuning.trial_runner import TrialRunner, TuningPoint

logger = logging.getLogger(__name__)

PROBE_ERRORS = (1e-2, 1e-4)
"""Relative squared errors near which the sensitivity to a neuron is measured: those at about two and five spikes."""


class Minimize(enum.Enum):
    """The quantity that the solver minimizes.

    SPIKES: spikes of all neurons; among choices with about as many, the one with fewer synaptic operations.
    OPERATIONS: synaptic operations, spikes times their fan-out, which the energy of the matmuls is made of.
    """

    SPIKES = "spikes"
    OPERATIONS = "operations"


WEIGHTS = {Minimize.SPIKES: (1.0, 0.25), Minimize.OPERATIONS: (SPIKES_WEIGHT, 1.0)}
"""Weights of the spikes and of the synaptic operations, both as shares of their totals. Where spikes are minimized, a
small weight of the operations saves 5 % of them at the cost of 1 % more spikes."""


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


def minimize_of(value: Minimize | str | None, max_spikes: float | None) -> Minimize:
    """The member of `Minimize` for a member or its value; None stands for spikes where these are limited.

    Raises:
        ConfigError: there is no such member.
    """
    if value is None:
        return Minimize.OPERATIONS if max_spikes is None else Minimize.SPIKES
    try:
        return Minimize(value)
    except ValueError:
        choices = " or ".join(repr(each.value) for each in Minimize)
        raise ConfigError(f"minimize is {value!r}; expected {choices}") from None


Choice = list[tuple[Knob, Candidate]]
"""A candidate for every knob of a network."""


class Trial(NamedTuple):
    """A choice that was run, with what was measured."""

    choice: Choice
    point: TuningPoint


class Solver:
    """Finds the cheapest choice that meets a goal.

    Args:
        runner: runner of the network.
        goal: goal of tuning.
    """

    def __init__(self, runner: TrialRunner, goal: Goal) -> None:
        self.runner, self.goal = runner, goal
        self._tried: dict[tuple[int, ...], Trial] = {}
        spikes, operations = WEIGHTS[goal.minimize]
        costs = spike_costs(runner.knobs, spikes=spikes, operations=operations)
        predicted = distortions(runner.knobs, runner.distortion, PROBE_ERRORS, progress=runner.progress)
        self._front = predicted_front(costs, predicted)

    def solve(self) -> Trial:
        """The choice that is best for the goal, among those within `max_spikes`, or the sparsest one where none is.

        With a target loss, it is the cheapest one that keeps it with certainty. Where none does, it is the cheapest one
        that seems to keep it, by the loss that was seen and by what needs no labels, and else the most exact one.
        Without a target, it is the most exact one.
        """
        most, target = self.goal.max_spikes, self.goal.target_loss
        choices = [choice for choice in self._front if most is None or self._spikes(choice) <= most] or self._front[:1]
        if target is None:
            return self._try(choices[-1])

        def doubtful(point: TuningPoint) -> float:
            return point.loss if math.isnan(point.label_free) else point.label_free

        certain = self._cheapest(choices, lambda point: point.smooth <= target, lambda point: point.keeps(target))
        return (
            certain
            or self._cheapest(
                choices, lambda point: doubtful(point) <= target, lambda point: point.seems_within(target)
            )
            or self._try(choices[-1])
        )

    def pareto_front(self, chosen: Trial) -> tuple[Trial, ...]:
        """The Pareto front in cost and output error of the choices that were run, from the cheapest to the most exact.

        `chosen` is always part of it, even where another choice is better in both: the decisive loss also depends on
        single predictions.
        """

        def cost(trial: Trial) -> tuple[float, float]:
            return self._cost(trial.point), trial.point.relative_error

        front = pareto_front(self._tried.values(), cost=cost, error=lambda trial: trial.point.relative_error)
        return tuple(sorted(front if any(trial is chosen for trial in front) else [*front, chosen], key=cost))

    def _cost(self, point: TuningPoint) -> float:
        """The minimized quantity at `point`."""
        return point.operations if self.goal.minimize is Minimize.OPERATIONS else point.spikes

    def _cheapest(
        self, choices: Sequence[Indices], ordered: Callable[[TuningPoint], bool], enough: Callable[[TuningPoint], bool]
    ) -> Trial | None:
        """The cheapest of `choices` that is good enough; None where the most exact one is not.

        Args:
            choices: choices on the predicted front.
            ordered: a necessary condition that holds from one of the choices on, which is found by bisection.
            enough: the condition. It also depends on the measured loss, which is not monotonic, as it jumps with single
                predictions; so from there on larger and larger steps are taken.
        """
        best = self._try(choices[-1])
        if not enough(best.point):
            return None
        low, high = -1, len(choices) - 1
        with tqdm(desc="solve", disable=None if self.runner.progress else True, unit="trial") as bar:
            while high - low > 1:
                middle = (low + high) // 2
                trial = self._try(choices[middle])
                bar.update()
                if ordered(trial.point):
                    high, best = middle, trial
                else:
                    low = middle
            step = 1
            while not enough(best.point):
                high, step = min(high + step, len(choices) - 1), 2 * step
                best = self._try(choices[high])
                bar.update()
        return best

    def _spikes(self, indices: Sequence[int]) -> float:
        return self.runner.spikes(self._candidates(indices))

    def _candidates(self, indices: Sequence[int]) -> list[Candidate]:
        return [knob.candidates[i] for knob, i in zip(self.runner.knobs, indices, strict=True)]

    def _try(self, indices: Sequence[int]) -> Trial:
        """Run the network with the candidates of `indices` on the tuning data, unless it has run with them before."""
        key = tuple(indices)
        if key not in self._tried:
            candidates = self._candidates(indices)
            point = self.runner.point(candidates)
            logger.info("tried %s", point)
            self._tried[key] = Trial(list(zip(self.runner.knobs, candidates, strict=True)), point)
        return self._tried[key]

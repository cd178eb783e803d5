# SPDX-License-Identifier: Apache-2.0
"""The cheapest neurons whose error at the output of the network is within a budget.

1. Every neuron gets its candidates (`onnx_snn.allocation.candidates`).
2. The distortion that each causes at the output is measured and interpolated (`onnx_snn.allocation.sensitivities`).
3. The choices at all prices of distortion form the predicted Pareto front (`onnx_snn.allocation.price`).
4. Choices on it run, until the cheapest one within the budget is found. The measured error is about proportional to the
   predicted one, so a few runs suffice.

Nothing needs labels, and nothing is random.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from onnx_snn.allocation.candidates import Candidate, CodeFamily
from onnx_snn.allocation.output_error import OutputErrors
from onnx_snn.allocation.price import Indices, Tables, predicted_front, spike_costs, total
from onnx_snn.allocation.sensitivities import distortions, proportional
from onnx_snn.allocation.shared_trials import SharedTrials
from onnx_snn.allocation.trial_network import TrialNetwork
from onnx_snn.data.specs import Feed, sample_count

logger = logging.getLogger(__name__)

SPIKES_WEIGHT = 0.1
"""Weight of the spikes relative to that of the synaptic operations, both as shares of their totals."""

PROBE_ERROR = 1e-3
"""Relative squared error near which candidates are probed: that of codes of about one spike per element."""

ROUNDED_PROBE_ERROR = 3e-2
"""A second error near which candidates are probed in networks that round: roundings absorb most of the smaller one, so
that it tells little of larger ones."""

PROBE_SAMPLES = 8
"""Number of samples on which sensitivities are measured. They need not be more exact than by a factor of two."""

TRIALS = 12
"""Largest number of choices that are run."""

WORST = 0.25
"""Share of the rows of an output whose errors are held within the budget: those of the largest ones."""

FLOOR_SLACK = 1.1
"""Where the most exact neurons do not reach the budget, ratio to their error of the errors that are taken for it: what
rounds or selects behind them makes a floor, which much cheaper neurons may reach as well."""

CLOSE, AIM = 0.93, 0.97
"""Share of the budget above which an error is close enough to it, and the share that further choices aim at."""


@dataclass(frozen=True)
class Allocation:
    """The chosen neurons.

    Attributes:
        choice: a candidate for each knob.
        error: relative error at the output, the largest one of all outputs.
        within: whether it is within the budget.
    """

    choice: list[Candidate]
    error: float
    within: bool


class Budget:
    """The search for the cheapest neurons within an error at the output.

    Args:
        network: the network with its knobs.
        feeds: inputs of the runs.
        names: outputs whose errors count.
        max_error: largest relative error of each of these outputs.
        progress: show progress bars on a terminal.
        shared: workers that run the network on `feeds`; None for this process.
    """

    def __init__(
        self,
        network: TrialNetwork,
        feeds: Sequence[Feed],
        names: Sequence[str],
        max_error: float,
        *,
        progress: bool,
        shared: SharedTrials | None = None,
    ) -> None:
        self._shared = shared
        self.network, self.feeds, self.max_error, self.progress = network, feeds, max_error, progress
        self._errors = OutputErrors([network.original(feed, names) for feed in feeds])
        self._tried: dict[tuple[int, ...], Allocation] = {}
        self._target, self._most = max_error, TRIALS

    def allocate(self, probes: int) -> Allocation:
        """The cheapest choice within the budget, or the most exact one.

        Args:
            probes: largest number of runs on one sample for the sensitivities.
        """
        knobs = self.network.knobs
        if not self._errors.names:  # outputs of whole numbers, or that are all the same: nothing tells an error
            return Allocation([knob.candidates[-1] for knob in knobs], 0.0, within=True)
        costs = spike_costs(knobs, spikes=SPIKES_WEIGHT, operations=1.0)
        open_ = sum(len(knob.candidates) > 1 for knob in knobs)
        self._probed = _first_samples(self.feeds, max(1, min(PROBE_SAMPLES, probes // max(1, open_))))
        groups = max(1, probes // sum(map(sample_count, self._probed)))
        rounds = any(isinstance(knob.family, CodeFamily) and knob.family.tensor.grid for knob in knobs)
        errors = [PROBE_ERROR, ROUNDED_PROBE_ERROR] if rounds else [PROBE_ERROR]
        together = None if self._shared is None else self._probes
        predicted = distortions(
            knobs, self._probe, errors, groups=groups, progress=self.progress, table=proportional, together=together
        )
        return self._cheapest(predicted_front(costs, predicted), predicted)

    def _probe(self, choice: Sequence[Candidate], alone: Collection[int]) -> float:
        """Sum of the squared relative errors of all outputs, with only the knobs `alone` spiking."""
        outputs = (self.network.spiking(feed, self._errors.names, choice, alone) for feed in self._probed)
        return sum(self._errors.squares(outputs).values())

    def _probes(self, runs: Sequence[tuple[Sequence[Candidate], Collection[int]]], bar: tqdm[Any]) -> list[float]:
        """What `_probe` gives for each of `runs`, by workers."""
        assert self._shared is not None, "there are workers"
        trials = [self.network.trial(choice, alone) for choice, alone in runs]
        found = self._shared.probes(trials, len(self._probed), self._errors.names, bar)
        return [sum(self._errors.combined(rows).values()) for rows in found]

    def _cheapest(self, front: Sequence[Indices], predicted: Tables) -> Allocation:
        """The cheapest choice whose measured error is within the budget, else one about as exact as the most exact."""
        found = self._cheapest_within(front, predicted)
        if found is not None:
            return found
        exact = self._run(front[-1])
        if not math.isfinite(exact.error):
            return exact
        self._target, self._most = FLOOR_SLACK * exact.error, len(self._tried) + TRIALS // 2
        return self._cheapest_within(front, predicted) or exact

    def _cheapest_within(self, front: Sequence[Indices], predicted: Tables) -> Allocation | None:
        """The cheapest choice of `front` whose measured error is within the target; None where none is found.

        Neighbours on the front can lie far apart, where a neuron with much of the cost changes. The neurons in which
        the best choice differs from the next cheaper one then stay as they are, and the search goes on with the others.
        """
        choices = list(front)
        best: tuple[Indices, Allocation] | None = None
        with tqdm(desc="choose", disable=None if self.progress else True, unit="trial") as bar:
            while choices and len(self._tried) < self._most and not (best and best[1].error >= CLOSE * self._target):
                found = self._search(choices, predicted, bar)
                if found is not None:
                    best, choices = (choices[found[0]], found[1]), choices[: found[0]]
                if best is None:
                    break
                choices = _kept_where_the_last_differs(choices, best[0])
        return best[1] if best else None

    def _search(self, choices: Sequence[Indices], predicted: Tables, bar: tqdm[Any]) -> tuple[int, Allocation] | None:
        """Index of the cheapest of `choices` within the target, and its run; None where none is found.

        The choice at which the error should just be within it is predicted from the run before, and taken from
        the middle of those that are left where the prediction lies outside of them.
        """
        distortion = [total(predicted, choice) for choice in choices]
        low, high, best = -1, len(choices), None
        aim = self._target**2
        while high - low > 1 and len(self._tried) < self._most:
            index = next((i for i, one in enumerate(distortion) if one <= aim), len(choices) - 1)
            if not low < index < high:
                index = (low + high) // 2
            trial = self._run(choices[index])
            bar.update()
            if trial.error <= self._target:
                best, high = trial, index
                if trial.error >= CLOSE * self._target:
                    break
            else:
                low = index
            aim = self._next_aim(distortion[index], trial.error)
        return None if best is None else (high, best)

    def _next_aim(self, predicted: float, error: float) -> float:
        """The predicted distortion at which the error should be just within the target, from that of one choice."""
        if not math.isfinite(error):
            return 0.0
        return predicted * (AIM * self._target / error) ** 2 if error else math.inf

    def _run(self, indices: Indices) -> Allocation:
        """Run the network with the candidates of `indices`, unless it has run with them before."""
        if tuple(indices) not in self._tried:
            self._tried[tuple(indices)] = self._measured(indices)
        return self._tried[tuple(indices)]

    def _measured(self, indices: Indices) -> Allocation:
        choice = [knob.candidates[index] for knob, index in zip(self.network.knobs, indices, strict=True)]
        names = self._errors.names
        if self._shared is not None:
            rows = self._shared.whole(self.network.trial(choice), len(self.feeds), names)
            squares = self._errors.combined(rows, share=WORST)
        else:
            outputs = (self.network.spiking(feed, names, choice) for feed in self.feeds)
            squares = self._errors.squares(outputs, share=WORST)
        error = math.sqrt(max(squares.values(), default=0.0))
        logger.info("tried a choice on the predicted front: relative error %.3g", error)
        return Allocation(choice, error, error <= self.max_error)


def _kept_where_the_last_differs(choices: Sequence[Indices], best: Indices) -> list[Indices]:
    """The distinct `choices` with the candidates of `best` for all knobs in which the last of them differs from it."""
    kept = [i for i, (one, its) in enumerate(zip(choices[-1], best, strict=True)) if one != its] if choices else []
    found: list[Indices] = []
    for choice in choices:
        changed = [best[i] if i in kept else index for i, index in enumerate(choice)]
        if changed != best and changed not in found[-1:]:
            found.append(changed)
    return found


def _first_samples(feeds: Sequence[Feed], samples: int) -> list[Feed]:
    """The first feeds that hold `samples` samples, at least one feed."""
    taken: list[Feed] = []
    while len(taken) < len(feeds) and sum(map(sample_count, taken)) < samples:
        taken.append(feeds[len(taken)])
    return taken

# SPDX-License-Identifier: Apache-2.0
"""What tuning can promise: the number of samples that a target takes, and what holds where there are too few.

The bound of the loss on another set of as many samples has two parts. Labels have to tell which part of the flipped
predictions is lost on balance, which takes `samples_needed` samples. The flips in the other set vary too: of m
predictions, m r flip at a rate r, with a standard deviation of sqrt(m r), so that z sqrt(r / m) is within the target t
from m = r (z / t)**2 on. Both variances fall as 1 / m, so the two numbers add up.

Without labels every flip is a loss. Then z sqrt(r / m) has to be within t - r, and networks with about t / 2 flips are
the ones in reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from onnx_snn.config.convert_config import DEFAULT_MAX_ERROR
from onnx_snn.evaluation.flip_model import FlipModel, samples_needed, upper_tail
from onnx_snn.evaluation.metrics import Metric
from onnx_snn.evaluation.paired_bounds import CONFIDENCE, deviations
from onnx_snn.tuning.solver import Goal
from onnx_snn.tuning.trial_runner import TrialRunner, TuningPoint


@dataclass(frozen=True)
class Reach:
    """The samples that a target takes, as far as margins of the original tell.

    Attributes:
        target: largest relative loss.
        samples: number of samples at hand.
        needed: number of samples with which a network of typical error can be certified, if it loses nothing.
        labelled: whether these have to be labelled.
    """

    target: float
    samples: int
    needed: int
    labelled: bool

    def text(self) -> str:
        """One line for a log or a report."""
        kind = "labelled samples" if self.labelled else "samples"
        verdict = "enough" if self.samples >= self.needed else "too few for certainty, unless neurons are more exact"
        return (
            f"a target loss of {self.target:.3%} takes about {self.needed:,} {kind} at a confidence of "
            f"{CONFIDENCE:.0%}; there are {self.samples:,}: {verdict}"
        )


def reach_of(runner: TrialRunner, target: float) -> Reach | None:
    """The reach of a target before any spiking network has run; None for metrics that do not judge predictions."""
    if not runner.metric.counts_decisions:
        return None
    needed = _needed(runner.metric, target, typical_rate(runner), abs(runner.original.value))
    return Reach(target, runner.samples, _in_samples(needed, runner), runner.metric.needs_labels)


def typical_rate(runner: TrialRunner) -> float:
    """Rate of flips that the original's margins suggest for a network with `DEFAULT_MAX_ERROR` at the output.

    With a relative error e of outputs of standard deviation d in a row, differences of two outputs change with a
    standard deviation of sqrt(2) e d.
    """
    margins, variances = FlipModel(), []
    for output in runner.expected:
        margins.add(output, output, None)
        variances.append(output.astype(np.float64).var(axis=-1).ravel())
    spread = math.sqrt(2.0 * float(np.concatenate(variances).mean())) * DEFAULT_MAX_ERROR
    return float(upper_tail(margins.margins / spread).mean()) if spread else 0.0


@dataclass(frozen=True)
class Promise:
    """What holds for a tuned network.

    Attributes:
        target: largest relative loss that was asked for.
        point: what was measured.
        needed: number of samples with which the network might be certified; 0 where more samples do not help.
        labelled: whether these have to be labelled.
    """

    target: float
    point: TuningPoint
    needed: int
    labelled: bool

    def text(self) -> str:
        """What can be promised in place of the target, and how many samples would be enough."""
        promised = (
            f"the target is not certified: {CONFIDENCE:.0%}: loss at most {self.point.bound:.3%} on as many other "
            f"samples ({self.point.mean_bound:.3%} in the mean), target {self.target:.3%}"
        )
        kind = "labelled samples" if self.labelled else "samples"
        return promised + (f"; {self.needed:,} {kind} would be enough" if self.needed else "")


def shortfall(runner: TrialRunner, goal: Goal, point: TuningPoint) -> str:
    """One line that says what part of `goal` the network at `point` misses, and what helps; empty if none."""
    parts = []
    if goal.max_spikes is not None and point.spikes > goal.max_spikes:
        parts.append(
            f"max_spikes is {goal.max_spikes:g}, but the sparsest neurons, which are taken, fire {point.spikes:.3g} "
            "spikes per element"
        )
    target = goal.target_loss
    if target is not None and not point.keeps(target):
        parts.append(promise_of(runner, target, point).text())
        if goal.max_spikes is not None:
            parts.append(f"more than {goal.max_spikes:g} spikes per element may help")
        elif not point.seems_within(target):
            remedy = runner.range_remedy() or "allow more loss or time steps"
            parts.append(
                f"the most exact neurons with up to {goal.max_timesteps} time steps lose {point.loss:.3%}; {remedy}"
            )
    return "; ".join(parts)


def promise_of(runner: TrialRunner, target: float, point: TuningPoint) -> Promise:
    """The promise for a network that misses `target` by its loss or by its bound."""
    needed, room = 0, target - max(point.loss, 0.0)
    if room > 0.0:
        if runner.metric.counts_decisions:
            accuracy = abs(runner.original.value)
            needed = _needed(runner.metric, target, point.label_free * accuracy, accuracy)
        if needed <= runner.items:
            # The distance of the bound from the loss falls as the root of the number of samples, or faster.
            needed = math.ceil(runner.items * ((point.bound - point.loss) / room) ** 2)
    return Promise(target, point, _in_samples(needed, runner), runner.metric.needs_labels)


def _needed(metric: Metric, target: float, rate: float, accuracy: float) -> int:
    """Number of predictions with which a loss is certified at a rate of flips (module docstring)."""
    allowed, z = target * accuracy, deviations(CONFIDENCE)
    if metric.needs_labels:
        return samples_needed(target, rate, accuracy=accuracy) + math.ceil(rate * (z / allowed) ** 2)
    rate = min(rate, allowed / 2.0)
    return math.ceil(max(rate * (z / (allowed - rate)) ** 2, 1.0 / allowed))


def _in_samples(items: int, runner: TrialRunner) -> int:
    """Number of samples that hold as many `items`, such as tokens, as the tuning data do."""
    return math.ceil(items * runner.samples / max(1, runner.items))

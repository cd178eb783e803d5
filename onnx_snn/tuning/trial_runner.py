# SPDX-License-Identifier: Apache-2.0
"""Runs of a network with any choice of neurons: their cost, and the loss at the output."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.allocation.candidates import Candidate
from onnx_snn.allocation.cost_model import ProductWork
from onnx_snn.allocation.trial_network import TrialNetwork
from onnx_snn.data.specs import Feed, sample_count
from onnx_snn.evaluation.code_ranges import DOMINANT, Clipping, fits, largest_magnitude, range_remedy
from onnx_snn.evaluation.divergence import distortion
from onnx_snn.evaluation.loss_bound import Loss
from onnx_snn.evaluation.metrics import Metric, Score

PROBE_SAMPLES = 32
"""Number of samples on which sensitivities are measured; an accuracy of a factor of two suffices for these."""


@dataclass(frozen=True)
class TuningPoint:
    """Cost and loss of one choice of all neurons.

    Attributes:
        spikes: spikes per element, mean over all values that neurons code.
        operations: synaptic operations for each sample.
        energy: ratio of the energy of all matmuls to that of the original, by the accumulate-only rule of
            `onnx_snn.profiling.energy`.
        timesteps: largest number of time steps of a neuron.
        loss: relative loss of the metric on the tuning data.
        bound: upper bound of the loss on another set of as many samples, with a confidence of 95 %.
        relative_error: relative error of the output.
        mean_bound: upper bound of the expected loss, the mean over all other sets, with a confidence of 95 %.
        smooth: the bound by the margins alone, without what single predictions did: it falls with the error; `bound`
            itself for other metrics.
        label_free: largest expected loss by what needs no labels: as if every expected flip of a prediction lost a
            right one; for perplexity the Kullback-Leibler divergence in nats; NaN for other metrics.
    """

    spikes: float
    operations: float
    energy: float
    timesteps: int
    loss: float
    bound: float
    relative_error: float
    mean_bound: float = math.nan
    label_free: float = math.nan
    smooth: float = math.nan

    def keeps(self, target: float) -> bool:
        """Whether the loss is at most `target`, on the tuning data and, by its bound, on as many other samples."""
        return self.loss <= target and self.bound <= target

    def seems_within(self, target: float) -> bool:
        """Whether the loss that was seen is at most `target`, and what needs no labels does not exceed it either."""
        return self.loss <= target and not self.label_free > target


class TrialRunner:
    """Runs a network with any candidates of its knobs on data with a task metric.

    Args:
        network: the network.
        products: its multiply-accumulates.
        batches: feeds and labels of the tuning data.
        output: name of the output that the metric compares.
        metric: the task metric.
        unlabelled: further feeds without labels, as evidence of how often predictions flip.
        progress: show progress bars on a terminal.

    Attributes:
        expected: outputs of the original for `batches`, then for `unlabelled`.
        original: score of the original on the tuning data.
    """

    def __init__(
        self,
        network: TrialNetwork,
        products: ProductWork,
        batches: Sequence[tuple[Feed, NDArray[Any] | None]],
        output: str,
        metric: Metric,
        *,
        unlabelled: Sequence[Feed] = (),
        progress: bool,
    ) -> None:
        self.network, self.knobs, self.products, self.batches = network, network.knobs, products, batches
        self.output, self.metric, self.unlabelled, self.progress = output, metric, unlabelled, progress
        feeds = [*(feed for feed, _ in batches), *unlabelled]
        self.expected = [
            network.original(feed, [output])[output]
            for feed in tqdm(feeds, "original", disable=None if progress else True, unit="batch")
        ]
        self.original = Score(metric)
        for (_, labels), expected in zip(batches, self.expected, strict=False):
            self.original.add(expected, expected, labels)

    @property
    def samples(self) -> int:
        """Number of samples of the tuning data."""
        return sum(sample_count(feed) for feed, _ in self.batches)

    @property
    def items(self) -> int:
        """Number of items of the tuning data that the metric judges, such as predictions or tokens."""
        return len(self.original.evidence)

    def distortion(self, choice: Sequence[Candidate], alone: Collection[int]) -> float:
        """Mean distortion of the output by sample, with only the knobs with indices `alone` spiking."""
        total, samples = 0.0, 0
        for (feed, _), expected in zip(self.batches, self.expected, strict=False):
            (actual,) = self.network.spiking(feed, [self.output], choice, alone).values()
            total += distortion(expected, actual, decisive=self.metric.decisive)
            samples += len(expected)
            if samples >= PROBE_SAMPLES:
                break
        return total / samples

    def spikes(self, candidates: Sequence[Candidate]) -> float:
        """Spikes per element of the network with `candidates`, mean over all values that neurons code."""
        elements = [knob.load.elements for knob in self.knobs]
        return float(np.average([candidate.coding.spikes for candidate in candidates], weights=elements))

    def point(self, candidates: Sequence[Candidate]) -> TuningPoint:
        """Cost of the network with `candidates`, and its loss on the tuning data."""
        loss, relative_error = self._loss(candidates)
        loads = [knob.load for knob in self.knobs]
        operations = [
            load.elements * load.fan_out * one.coding.spikes for load, one in zip(loads, candidates, strict=True)
        ]
        synaptic = sum(count for load, count in zip(loads, operations, strict=True) if load.synaptic)
        return TuningPoint(
            spikes=self.spikes(candidates),
            operations=sum(operations),
            energy=self.products.energy(synaptic),
            timesteps=max(candidate.settings.timesteps for candidate in candidates),
            loss=loss.relative,
            bound=loss.bound_for(self.items),
            relative_error=relative_error,
            mean_bound=loss.bound,
            label_free=self._label_free(loss),
            smooth=loss.smooth_bound_for(self.items),
        )

    def _label_free(self, loss: Loss) -> float:
        """`TuningPoint.label_free` of a loss."""
        if self.metric.counts_decisions:
            return loss.flip_rate / abs(self.original.value)
        return loss.divergence if self.metric.decisive and not self.metric.higher_is_better else math.nan

    def range_remedy(self) -> str:
        """What to do where clipped values make most of the output error of the most exact candidates; else empty.

        It takes about one run of a batch for each identity code.
        """
        finest, feed, expected = [knob.candidates[-1] for knob in self.knobs], self.batches[0][0], self.expected[0]
        whole = self._squared_error(feed, expected, finest, None)
        found = []
        for index, candidate in enumerate(finest):
            exact = self.network.coded(feed, index)
            coding = candidate.coding
            if exact is None or not fits(largest := largest_magnitude(coding.neuron, coding.scale), exact):
                continue
            clipping = Clipping()
            clipping.add(exact, coding.neuron(exact, coding.scale), largest)
            dominant = clipping.error_share >= DOMINANT
            if dominant and self._squared_error(feed, expected, finest, [index]) >= DOMINANT * whole:
                found.append((self.knobs[index].name, clipping))
        return range_remedy(found)

    def _squared_error(
        self, feed: Feed, expected: NDArray[Any], choice: Sequence[Candidate], alone: Collection[int] | None
    ) -> float:
        """Sum of squared errors of the output for one batch, with the knobs `alone` spiking, or all."""
        actual = self.network.spiking(feed, [self.output], choice, alone)[self.output]
        return distortion(expected, actual, decisive=False)

    def _loss(self, choice: Sequence[Candidate]) -> tuple[Loss, float]:
        """The loss, and the relative error of the output on the tuning data alone."""
        loss = Loss(self.metric)
        for (feed, labels), expected in zip(self.batches, self.expected, strict=False):
            (actual,) = self.network.spiking(feed, [self.output], choice).values()
            loss.add(expected, actual, labels)
        relative_error = loss.difference.relative_error
        for feed, expected in zip(self.unlabelled, self.expected[len(self.batches) :], strict=True):
            (actual,) = self.network.spiking(feed, [self.output], choice).values()
            loss.add(expected, actual, None)
        return loss, relative_error

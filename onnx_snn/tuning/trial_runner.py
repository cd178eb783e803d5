# SPDX-License-Identifier: Apache-2.0
"""Runs of a network with any choice of neurons: their cost, and the loss at the output."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.allocation.candidates import Candidate
from onnx_snn.allocation.cost_model import ProductWork
from onnx_snn.allocation.trial_network import TrialNetwork
from onnx_snn.data.specs import Feed
from onnx_snn.evaluation.code_ranges import DOMINANT, Clipping, fits, largest_magnitude, range_remedy
from onnx_snn.evaluation.divergence import distortion
from onnx_snn.evaluation.loss_bound import Loss
from onnx_snn.evaluation.metrics import Metric

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
        bound: upper bound of the expected loss on other data, with a confidence of 95 %.
        relative_error: relative error of the output.
    """

    spikes: float
    operations: float
    energy: float
    timesteps: int
    loss: float
    bound: float
    relative_error: float

    def keeps(self, target: float) -> bool:
        """Whether the loss is at most `target`, on the tuning data and, by its bound, on other data."""
        return self.loss <= target and self.bound <= target


class TrialRunner:
    """Runs a network with any candidates of its knobs on data with a task metric.

    Args:
        network: the network.
        products: its multiply-accumulates.
        batches: feeds and labels of the tuning data.
        output: name of the output that the metric compares.
        metric: the task metric.
        progress: show progress bars on a terminal.
    """

    def __init__(
        self,
        network: TrialNetwork,
        products: ProductWork,
        batches: Sequence[tuple[Feed, NDArray[Any] | None]],
        output: str,
        metric: Metric,
        *,
        progress: bool,
    ) -> None:
        self.network, self.knobs, self.products, self.batches = network, network.knobs, products, batches
        self.output, self.metric, self.progress = output, metric, progress
        self.expected = [
            network.original(feed, [output])[output]
            for feed, _ in tqdm(batches, "original", disable=None if progress else True, unit="batch")
        ]

    def distortion(self, choice: Sequence[Candidate], alone: Collection[int]) -> float:
        """Mean distortion of the output by sample, with only the knobs with indices `alone` spiking."""
        total, samples = 0.0, 0
        for (feed, _), expected in zip(self.batches, self.expected, strict=True):
            (actual,) = self.network.spiking(feed, [self.output], choice, alone).values()
            total += distortion(expected, actual, decisive=self.metric.decisive)
            samples += len(expected)
            if samples >= PROBE_SAMPLES:
                break
        return total / samples

    def spikes(self, candidates: Sequence[Candidate]) -> float:
        """Spikes per element of the network with `candidates`, mean over all values that neurons code."""
        elements = [knob.load.elements for knob in self.knobs]
        return float(np.average([candidate.spikes for candidate in candidates], weights=elements))

    def point(self, candidates: Sequence[Candidate]) -> TuningPoint:
        """Cost of the network with `candidates`, and its loss on the tuning data."""
        loss, loads = self._loss(candidates), [knob.load for knob in self.knobs]
        operations = [load.elements * load.fan_out * one.spikes for load, one in zip(loads, candidates, strict=True)]
        synaptic = sum(count for load, count in zip(loads, operations, strict=True) if load.synaptic)
        return TuningPoint(
            spikes=self.spikes(candidates),
            operations=sum(operations),
            energy=self.products.energy(synaptic),
            timesteps=max(candidate.settings.timesteps for candidate in candidates),
            loss=loss.relative,
            bound=loss.bound,
            relative_error=loss.difference.relative_error,
        )

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

    def _loss(self, choice: Sequence[Candidate]) -> Loss:
        loss = Loss(self.metric)
        for (feed, labels), expected in zip(self.batches, self.expected, strict=True):
            (actual,) = self.network.spiking(feed, [self.output], choice).values()
            loss.add(expected, actual, labels)
        return loss

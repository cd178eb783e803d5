# SPDX-License-Identifier: Apache-2.0
"""Runs of a network with any choice of neurons: their cost, and the loss at the output."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.function_library import attach
from onnx_snn.conversion.plan import SitePlan
from onnx_snn.conversion.rewriter import rewrite
from onnx_snn.data.specs import Feed
from onnx_snn.evaluation.code_ranges import DOMINANT, Clipping, fits, largest_magnitude, range_remedy
from onnx_snn.evaluation.divergence import distortion
from onnx_snn.evaluation.loss_bound import Loss
from onnx_snn.evaluation.metrics import Metric
from onnx_snn.evaluation.switched_model import SwitchedModel
from onnx_snn.metadata import IDENTITY
from onnx_snn.rules.site import MatmulSite, Site
from onnx_snn.tuning.candidates import Candidate
from onnx_snn.tuning.cost_model import ProductWork
from onnx_snn.tuning.search_space import Knob

PROBE_SAMPLES = 32
"""Number of samples on which sensitivities are measured; an accuracy of a factor of two suffices for these."""

DIGITS = 3
"""Number of significant digits that measured distortions are rounded to, so that they are equal on all machines."""


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
    """Runs a network with any candidates of its knobs.

    Args:
        original: the network; it is rewritten in place into a spiking one.
        plans: its sites, with any neurons.
        knobs: the neurons of `plans` with their candidates.
        products: multiply-accumulates of the network.
        batches: feeds and labels of the tuning data.
        output: name of the output that the metric compares.
        metric: the task metric.
        progress: show progress bars on a terminal.
    """

    def __init__(
        self,
        original: ir.Model,
        plans: Sequence[SitePlan],
        knobs: Sequence[Knob],
        products: ProductWork,
        batches: Sequence[tuple[Feed, NDArray[Any] | None]],
        output: str,
        metric: Metric,
        *,
        progress: bool,
    ) -> None:
        self.knobs, self.products, self.batches = knobs, products, batches
        self.output, self.metric, self.progress = output, metric, progress
        reference = original.clone()
        outputs = {plan.site: str(plan.site.output.name) for plan in plans}
        attach(original, plans, rewrite(original, plans), ConvertConfig())
        self._network = SwitchedModel(reference, original, adjustable=True)
        by_output = {node.output: node.name for node in self._network.nodes.values()}
        self._locations = [_location(knob, outputs, by_output) for knob in knobs]
        self.expected = [
            self._network(feed, (), [output], self._parameters([knob.candidates[-1] for knob in knobs]))[output]
            for feed, _ in tqdm(batches, "original", disable=None if progress else True, unit="batch")
        ]

    def _parameters(self, candidates: Sequence[Candidate]) -> dict[tuple[str, str], NDArray[np.float32]]:
        """Parameters of the spiking nodes with `candidates`, by node and input name."""
        parameters: dict[tuple[str, str], NDArray[np.float32]] = {}
        for (node, prefix), candidate in zip(self._locations, candidates, strict=True):
            for name, array in candidate.coding.neuron.tensors().items():
                parameters[node, prefix + name] = array
            parameters[node, f"{prefix}scale"] = candidate.coding.scale
        return {key: array for key, array in parameters.items() if key in self._network.parameters}

    def distortions(self, probes: Sequence[int]) -> list[float]:
        """The distortion of the output with each knob alone spiking, at its candidate of index `probes`."""
        finest = [knob.candidates[-1] for knob in self.knobs]
        distortions: list[float] = []
        bar = tqdm(self.knobs, "sensitivity", disable=None if self.progress else True, unit="neuron")
        for index, (knob, probe) in enumerate(zip(bar, probes, strict=True)):
            candidates = [*finest[:index], knob.candidates[probe], *finest[index + 1 :]]
            switched, parameters = {self._locations[index][0]}, self._parameters(candidates)
            total, samples = 0.0, 0
            for (feed, _), expected in zip(self.batches, self.expected, strict=True):
                (actual,) = self._network(feed, switched, [self.output], parameters).values()
                total += distortion(expected, actual, decisive=self.metric.decisive)
                samples += len(expected)
                if samples >= PROBE_SAMPLES:
                    break
            distortions.append(_rounded(total / samples))
        return distortions

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
        finest = [knob.candidates[-1] for knob in self.knobs]
        parameters, feed, expected = self._parameters(finest), self.batches[0][0], self.expected[0]
        whole = self._squared_error(feed, expected, set(self._network.nodes), parameters)
        found = []
        for (name, _), candidate in zip(self._locations, finest, strict=True):
            node, coding = self._network.nodes[name], candidate.coding
            if node.source != IDENTITY:
                continue
            (exact,) = self._network(feed, (), [node.original], parameters).values()
            largest = largest_magnitude(coding.neuron, coding.scale)
            if not fits(largest, exact):
                continue
            clipping = Clipping()
            clipping.add(exact, coding.neuron(exact, coding.scale), largest)
            dominant = clipping.error_share >= DOMINANT
            if dominant and self._squared_error(feed, expected, {name}, parameters) >= DOMINANT * whole:
                found.append((name, clipping))
        return range_remedy(found)

    def _squared_error(
        self,
        feed: Feed,
        expected: NDArray[Any],
        on: Collection[str],
        parameters: Mapping[tuple[str, str], NDArray[np.float32]],
    ) -> float:
        """Sum of squared errors of the output for one batch, with the spiking nodes `on` switched on."""
        return distortion(expected, self._network(feed, on, [self.output], parameters)[self.output], decisive=False)

    def _loss(self, candidates: Sequence[Candidate]) -> Loss:
        loss = Loss(self.metric)
        parameters, everything = self._parameters(candidates), set(self._network.nodes)
        for (feed, labels), expected in zip(self.batches, self.expected, strict=True):
            (actual,) = self._network(feed, everything, [self.output], parameters).values()
            loss.add(expected, actual, labels)
        return loss


def _location(knob: Knob, outputs: Mapping[Site, str], by_output: Mapping[str, str]) -> tuple[str, str]:
    """Name of the spiking node with the neuron of `knob`, and the prefix of its parameters at the node."""
    site, role = knob.members[0]
    if role.operand is None or not isinstance(site, MatmulSite):
        return by_output[outputs[site]], role.prefix
    reader = site.readers[role.operand]
    code = reader.node.inputs[reader.input_index]
    assert code is not None, "a matmul has its operands"
    return by_output[str(code.name)], role.prefix


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS - 1}e}")

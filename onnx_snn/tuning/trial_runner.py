# SPDX-License-Identifier: Apache-2.0
"""Runs a network with any neurons: what they cost, and what their errors do at the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from onnx_snn.evaluation.loss_bound import Loss, distortion
from onnx_snn.evaluation.metrics import Metric
from onnx_snn.evaluation.switched_model import SwitchedModel
from onnx_snn.rules.site import MatmulSite, Site
from onnx_snn.tuning.candidates import Candidate
from onnx_snn.tuning.cost_model import ProductWork
from onnx_snn.tuning.search_space import Knob

PROBE_SAMPLES = 32
"""Samples on which sensitivities are measured; they need to be known to a factor of two or so."""

DIGITS = 3
"""Significant digits of measured distortions: more than matter, fewer than differ between machines."""


@dataclass(frozen=True)
class TuningPoint:
    """One choice of all neurons.

    Attributes:
        spikes: spikes per element, over all values that neurons code.
        operations: synaptic operations for each sample.
        energy: of all products, over that of the original's; the accumulate-only rule of `onnx_snn.profiling.energy`.
        timesteps: those of the slowest neuron.
        loss: relative loss of the metric on the tuning data.
        bound: what the loss stays below on other data of this size, with a confidence of 95 %.
        relative_error: of the output.
    """

    spikes: float
    operations: float
    energy: float
    timesteps: int
    loss: float
    bound: float
    relative_error: float

    def keeps(self, target: float) -> bool:
        """Whether no more than `target` is lost, neither here nor on other data."""
        return self.loss <= target and self.bound <= target


class TrialRunner:
    """Runs a network with any candidates of its knobs.

    Args:
        original: the network; it becomes a spiking one.
        plans: its sites, with any neurons.
        knobs: the neurons that are chosen apart, over all of `plans`.
        products: multiply-accumulates of the network.
        batches: the tuning data, feeds and labels.
        output: output that is judged.
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
        self.board = SwitchedModel(reference, original, adjustable=True)
        by_output = {node.output: node.name for node in self.board.nodes.values()}
        self._places = [_place(knob, outputs, by_output) for knob in knobs]
        self.expected = [
            self.board(feed, (), [output], self._parameters([knob.candidates[-1] for knob in knobs]))[output]
            for feed, _ in tqdm(batches, "original", disable=None if progress else True, unit="batch")
        ]

    def _parameters(self, candidates: Sequence[Candidate]) -> dict[tuple[str, str], NDArray[np.float32]]:
        parameters: dict[tuple[str, str], NDArray[np.float32]] = {}
        for (node, prefix), candidate in zip(self._places, candidates, strict=True):
            for name, array in candidate.coding.neuron.tensors().items():
                parameters[node, prefix + name] = array
            parameters[node, f"{prefix}scale"] = candidate.coding.scale
        return {key: array for key, array in parameters.items() if key in self.board.parameters}

    def distortions(self, probes: Sequence[int]) -> list[float]:
        """The distortion of the output that each knob makes alone, at its candidate of index `probes`."""
        finest = [knob.candidates[-1] for knob in self.knobs]
        found: list[float] = []
        bar = tqdm(self.knobs, "sensitivity", disable=None if self.progress else True, unit="neuron")
        for place, (knob, probe) in enumerate(zip(bar, probes, strict=True)):
            candidates = [*finest[:place], knob.candidates[probe], *finest[place + 1 :]]
            total, samples = 0.0, 0
            for (feed, _), expected in zip(self.batches, self.expected, strict=True):
                (got,) = self.board(
                    feed, {self._places[place][0]}, [self.output], self._parameters(candidates)
                ).values()
                total += distortion(expected, got, decisive=self.metric.decisive)
                samples += len(expected)
                if samples >= PROBE_SAMPLES:
                    break
            found.append(_rounded(total / samples))
        return found

    def spikes(self, candidates: Sequence[Candidate]) -> float:
        """Spikes per element of the network with `candidates`, over all values that neurons code."""
        elements = [knob.load.elements for knob in self.knobs]
        return float(np.average([candidate.spikes for candidate in candidates], weights=elements))

    def point(self, candidates: Sequence[Candidate]) -> TuningPoint:
        """What the network with `candidates` costs, and what it loses on the tuning data."""
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

    def _loss(self, candidates: Sequence[Candidate]) -> Loss:
        loss = Loss(self.metric)
        parameters, everything = self._parameters(candidates), set(self.board.nodes)
        for (feed, labels), expected in zip(self.batches, self.expected, strict=True):
            (got,) = self.board(feed, everything, [self.output], parameters).values()
            loss.add(expected, got, labels)
        return loss


def _place(knob: Knob, outputs: Mapping[Site, str], by_output: Mapping[str, str]) -> tuple[str, str]:
    """The spiking node that holds the neuron of `knob`, and the prefix of its parameters there."""
    site, role = knob.members[0]
    if role.operand is None or not isinstance(site, MatmulSite):
        return by_output[outputs[site]], role.prefix
    reader = site.readers[role.operand]
    code = reader.node.inputs[reader.input_index]
    assert code is not None, "a product has its operands"
    return by_output[str(code.name)], role.prefix


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS - 1}e}")

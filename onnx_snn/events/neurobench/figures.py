# SPDX-License-Identifier: Apache-2.0
"""Figures of a converted network by the definitions of NeuroBench 2 (Yik et al. 2025, neurobench.ai).

    Footprint             bytes of all stored parameters, those of the neurons included
    ConnectionSparsity    share of zeros among the weights of products with weights
    ActivationSparsity    share of silent slots among all slots of all neurons, over all data
    SynapticOperations    of products with weights, a sample; biases are no operations, and neither are zeros:
      Effective_ACs         spikes times weights that are not 0
      Effective_MACs        products without coded operands: operands that are not 0 times weights that are not 0
      Dense                 the same with every slot and every weight taken as 1
    MembraneUpdates       changes of membrane potentials, a sample: the charge, and every spike after the first step

NeuroBench runs a layer once a time step on a tensor of spikes, so its figures depend on what counts as one neuron of a
multi-basis neuron. Both answers are given: every basis a neuron of its own (`BY_BASIS`), which the main figures use, as
each basis has a membrane and spikes of -1, 0 and 1, and all bases of an element one neuron (`BY_ELEMENT`), which is
active at a time step if any of its bases fires. Products of two activations are no layers of NeuroBench and count
apart, as an extension.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnx_snn.output_files import write_json

BY_BASIS, BY_ELEMENT = "neuron = basis of an element", "neuron = element with all its bases"
"""The two denominators: slots are elements * N * S, or elements * S."""

DEFINITIONS = "neurobench 2.3, metrics/static and metrics/workload"


@dataclass(frozen=True)
class SynapticOperations:
    """Operations over all data, by the names of NeuroBench.

    Attributes:
        effective_macs: multiply-accumulates of products without coded operands.
        effective_acs: accumulations that spikes cause.
        dense: both with all slots and all weights taken as 1, every basis a neuron.
        dense_by_element: the same where all bases of an element are one neuron.
    """

    effective_macs: int = 0
    effective_acs: int = 0
    dense: int = 0
    dense_by_element: int = 0

    def __add__(self, other: SynapticOperations) -> SynapticOperations:
        return SynapticOperations(
            *(own + more for own, more in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True))
        )

    def to_json(self, samples: int) -> dict[str, Any]:
        """The figures of one sample."""
        return {
            "Effective_MACs": self.effective_macs / samples,
            "Effective_ACs": self.effective_acs / samples,
            "Dense": self.dense / samples,
            "Dense by denominator": {BY_BASIS: self.dense / samples, BY_ELEMENT: self.dense_by_element / samples},
        }


@dataclass(frozen=True)
class Activity:
    """Slots and spikes of neurons over all data.

    Attributes:
        slots: elements times bases times time steps.
        spikes: those of them that hold a spike.
        steps: elements times time steps.
        active_steps: those of them at which any basis fires.
        updates: changes of membrane potentials.
    """

    slots: int = 0
    spikes: int = 0
    steps: int = 0
    active_steps: int = 0
    updates: int = 0

    def __add__(self, other: Activity) -> Activity:
        return Activity(
            *(own + more for own, more in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True))
        )

    @property
    def sparsity(self) -> dict[str, float]:
        """Share of silent slots by denominator; 0 without slots, as NeuroBench has it."""
        return {
            BY_BASIS: _silent(self.spikes, self.slots),
            BY_ELEMENT: _silent(self.active_steps, self.steps),
        }


@dataclass(frozen=True)
class NeuroBench:
    """The figures of a network on data.

    Attributes:
        model: path of the model, or the type of a model given in memory.
        samples: number of samples.
        footprint: bytes of all initializers.
        weights: number of weights of products with weights.
        zeros: how many of them are 0.
        activity: of all neurons.
        layers: operations of every product with weights, by name.
        extension: operations of every product of activations, by name.
        assumed_dense: products whose zero weights count as operations, with the reason.
        unobserved: neurons whose spikes are not seen one by one, with the reason.
    """

    model: str
    samples: int
    footprint: int
    weights: int
    zeros: int
    activity: Activity
    layers: Mapping[str, SynapticOperations]
    extension: Mapping[str, SynapticOperations]
    assumed_dense: Mapping[str, str] = field(default_factory=dict)
    unobserved: Mapping[str, str] = field(default_factory=dict)

    @property
    def operations(self) -> SynapticOperations:
        """Operations of all products with weights."""
        return sum(self.layers.values(), SynapticOperations())

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values, under the names of NeuroBench."""
        sparsity = self.activity.sparsity
        return {
            "model": self.model,
            "samples": self.samples,
            "definitions": DEFINITIONS,
            "Footprint": self.footprint,
            "ConnectionSparsity": self.zeros / self.weights if self.weights else 0.0,
            "ActivationSparsity": sparsity[BY_BASIS],
            "ActivationSparsity by denominator": sparsity,
            "SynapticOperations": self.operations.to_json(self.samples),
            "MembraneUpdates": self.activity.updates / self.samples,
            "extension: products of two activations": {
                "SynapticOperations": sum(self.extension.values(), SynapticOperations()).to_json(self.samples),
                "nodes": {name: each.to_json(self.samples) for name, each in self.extension.items()},
            },
            "layers": {name: each.to_json(self.samples) for name, each in self.layers.items()},
            "zero weights counted": dict(self.assumed_dense),
            "spikes not seen one by one": dict(self.unobserved),
        }

    def save(self, path: str | Path) -> None:
        """Write the figures as a JSON file.

        Raises:
            OutputError: the file cannot be written.
        """
        write_json(path, self.to_json())


def _silent(active: int, slots: int) -> float:
    return (slots - active) / slots if slots else 0.0

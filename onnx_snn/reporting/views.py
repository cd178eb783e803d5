# SPDX-License-Identifier: Apache-2.0
"""Figures of a report: nodes and neurons of a spiking network, and other converted files of the same original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnx_snn.arrays import Float32
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.evaluation.evaluation import Evaluation
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.profiling.activity import NeuronActivity
from onnx_snn.profiling.profiler import Profile


@dataclass(frozen=True, eq=False)
class NeuronView:
    """One neuron with its function, arguments and spikes.

    Attributes:
        activity: spikes of the neuron over all data.
        neuron: parameters of the neuron.
        function: function that the neuron approximates; None for a function that is not registered in this process.
        arguments: float32 [n], arguments of the neuron in the observed samples, divided by its scale.
        sample: float32 [n], arguments of the neuron in the chosen sample, divided by its scale, ascending.
    """

    activity: NeuronActivity
    neuron: MbeNeuron
    function: ScalarFunction | None
    arguments: Float32
    sample: Float32


@dataclass(frozen=True, eq=False)
class NodeView:
    """One spiking node.

    Attributes:
        name: name of the node.
        operator: op type of the node.
        source: operation that the node replaces, such as "gelu"; "identity" for a code.
        readers: names of the nodes that read the values of its output; readers of its shape alone do not count.
        own: error against the replaced operation for the same input; None if that operation is not known here.
        accumulated: error against the original network; None if the original has no such tensor.
        neurons: the neurons of the node.
    """

    name: str
    operator: str
    source: str
    readers: tuple[str, ...]
    own: Difference | None
    accumulated: Difference | None
    neurons: tuple[NeuronView, ...]


@dataclass(frozen=True)
class Candidate:
    """One converted file of the same original.

    Attributes:
        name: path of the file.
        timesteps: largest number of time steps T of a neuron, the step of the saturation spike not counted.
        evaluation: comparison with the original.
        profile: spikes, operations and energy.
    """

    name: str
    timesteps: int
    evaluation: Evaluation
    profile: Profile

    @property
    def spikes(self) -> float:
        """Mean number of spikes of all neurons for one sample."""
        return sum(neuron.total for neuron in self.profile.neurons) / self.profile.samples


@dataclass(frozen=True, eq=False)
class Survey:
    """All figures of a report on a spiking network.

    Attributes:
        original: path of the original network.
        config: options of the conversion, as recorded in the file.
        candidates: the spiking network itself, then other converted files of the same original.
        nodes: the spiking nodes of the network, in graph order.
        observed: number of samples on which errors of nodes and arguments of neurons were observed.
        sample: index of the sample of the raster plots.
    """

    original: str
    config: Mapping[str, Any]
    candidates: tuple[Candidate, ...]
    nodes: tuple[NodeView, ...]
    observed: int
    sample: int

    @property
    def spiking(self) -> Candidate:
        """The spiking network that the report is about."""
        return self.candidates[0]

    @property
    def neurons(self) -> tuple[NeuronView, ...]:
        """The neurons of all nodes, in graph order."""
        return tuple(neuron for node in self.nodes for neuron in node.neurons)

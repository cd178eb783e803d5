# SPDX-License-Identifier: Apache-2.0
"""What reports show of a spiking network: its nodes, its neurons, and other converted files of the same original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnx_snn.evaluation.comparison import Evaluation
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import Float32, MbeNeuron
from onnx_snn.profiling.activity import NeuronActivity
from onnx_snn.profiling.profiler import Profile


@dataclass(frozen=True, eq=False)
class NeuronView:
    """One neuron, what it stands for and what it saw.

    Attributes:
        activity: its spikes over all data.
        neuron: its parameters.
        function: what it approximates; None for a function that is not registered here.
        arguments: float32 [n], what it was given in the observed samples, in its own units (the scale divided out).
        sample: float32 [n], what it was given in the chosen sample, ascending.
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
        name: its name.
        operator: its op type.
        source: what it stands for, such as "gelu"; "identity" for a code.
        readers: names of the nodes that read its output, not only its shape.
        own: its own error; None where the exact result is not known here.
        accumulated: its error beside the original network; None where that has no such tensor.
        neurons: its neurons.
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
        name: its path.
        timesteps: time steps T of its slowest neuron, the gate not counted.
        evaluation: what it loses.
        profile: what it spends.
    """

    name: str
    timesteps: int
    evaluation: Evaluation
    profile: Profile

    @property
    def spikes(self) -> float:
        """Spikes of all neurons for one sample."""
        return sum(neuron.total for neuron in self.profile.neurons) / self.profile.samples


@dataclass(frozen=True, eq=False)
class Survey:
    """A spiking network in figures.

    Attributes:
        original: file of the original network.
        config: options of the conversion, as the file tells them.
        candidates: the network itself, then others of the same original.
        nodes: the spiking nodes of the network, in graph order.
        observed: samples from which errors of nodes and arguments are taken.
        sample: number of the chosen sample.
    """

    original: str
    config: Mapping[str, Any]
    candidates: tuple[Candidate, ...]
    nodes: tuple[NodeView, ...]
    observed: int
    sample: int

    @property
    def spiking(self) -> Candidate:
        """The network itself."""
        return self.candidates[0]

    @property
    def neurons(self) -> tuple[NeuronView, ...]:
        """The neurons of all nodes, in graph order."""
        return tuple(neuron for node in self.nodes for neuron in node.neurons)

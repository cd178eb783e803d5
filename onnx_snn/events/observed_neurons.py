# SPDX-License-Identifier: Apache-2.0
"""The neurons of the spiking nodes of a network, with their arguments in a run: all that their spikes follow from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.arrays import Float32
from onnx_snn.evaluation.stored_neurons import stored_neuron
from onnx_snn.events.neuron_arguments import arguments_of
from onnx_snn.neurons.mbe import UNSCALED, MbeNeuron, spike_trains
from onnx_snn.neurons.opset import operator_of
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.rule import name_of


class FiredNeuron(NamedTuple):
    """A neuron in a run.

    Attributes:
        role: its role in the spiking node.
        neuron: its parameters.
        arguments: float32, in the shape of the tensor that it is evaluated on, divided by the channel scale.
    """

    role: NeuronRole
    neuron: MbeNeuron
    arguments: Float32

    def trains(self) -> NDArray[np.bool_]:
        """Its spikes by time step, basis and element, bool [S, N, elements]; elements in row-major order."""
        return spike_trains(self.neuron, self.arguments)


@dataclass(frozen=True, eq=False)
class ObservedNode:
    """A spiking node whose neurons are stored in the model.

    Attributes:
        node: the node.
        neurons: its neurons by role, in the order of the operator.
    """

    node: ir.Node
    neurons: dict[NeuronRole, MbeNeuron]

    @classmethod
    def of(cls, node: ir.Node) -> ObservedNode | None:
        """The spiking node `node`; None where a parameter of a neuron is computed in the graph.

        Raises:
            ModelError: there is no such operator.
        """
        stored = {role: stored_neuron(node, role) for role in operator_of(node).roles}
        neurons = {role: each.neuron for role, each in stored.items() if each is not None}
        return cls(node, neurons) if len(neurons) == len(stored) else None

    @property
    def name(self) -> str:
        """Name of the node."""
        return name_of(self.node)

    @property
    def input(self) -> str:
        """Name of the tensor that the node reads."""
        return str(self._read()["x"].name)

    @property
    def observed(self) -> list[str]:
        """Names of the tensors of a run that `fired` reads."""
        return [str(value.name) for value in self._read().values() if value.const_value is None]

    def fired(self, tensors: Mapping[str, NDArray[Any]]) -> Iterator[FiredNeuron]:
        """The neurons of the node in a run, from its tensors by name."""
        read = {
            name: np.asarray(
                tensors[str(value.name)] if value.const_value is None else value.const_value.numpy(), np.float32
            )
            for name, value in self._read().items()
        }
        scale = read.get("scale", read.get("deviation_scale", UNSCALED))
        epsilon = float(read["epsilon"].reshape(())) if "epsilon" in read else 0.0
        for role, arguments in arguments_of(self.node, self.neurons, read["x"], scale, epsilon).items():
            yield FiredNeuron(role, self.neurons[role], arguments)

    def _read(self) -> dict[str, ir.Value]:
        """The inputs of the node that the arguments of its neurons follow from, by name of the operator's input."""
        inputs = zip(operator_of(self.node).inputs, self.node.inputs, strict=True)
        wanted = ("x", "scale", "deviation_scale", "epsilon")
        return {name: value for name, value in inputs if name in wanted and value is not None}

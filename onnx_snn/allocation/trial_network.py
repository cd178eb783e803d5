# SPDX-License-Identifier: Apache-2.0
"""A network that runs with any candidates of its neurons, and with any of them switched off."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnx_snn.allocation.candidates import Candidate
from onnx_snn.allocation.knobs import Knob
from onnx_snn.data.specs import Feed
from onnx_snn.evaluation.switched_model import SwitchedModel
from onnx_snn.metadata import IDENTITY
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import MatmulSite, Site

Parameters: TypeAlias = dict[tuple[str, str], NDArray[np.float32]]
"""Parameters of neurons, by node and input name."""

Location: TypeAlias = tuple[str, str]
"""Name of the spiking node of a neuron, and the prefix of the neuron's parameters there."""


class Trial(NamedTuple):
    """Neurons of one run.

    Attributes:
        nodes: names of the spiking nodes that are switched on.
        parameters: parameters of neurons, by node and input name, where they are not the most exact ones.
    """

    nodes: frozenset[str]
    parameters: Parameters


class TrialNetwork:
    """Runs a network with any candidates of its knobs.

    Args:
        network: original and spiking network, with adjustable parameters.
        knobs: the neurons of the spiking network, with their candidates.
        outputs: name of the output of each site in the original network.

    Attributes:
        knobs: the neurons.
        idle: parameters of all of them with their most exact candidates.
    """

    def __init__(self, network: SwitchedModel, knobs: Sequence[Knob], outputs: Mapping[Site, str]) -> None:
        self._network, self.knobs = network, knobs
        by_output = {node.output: node.name for node in network.nodes.values()}
        self._locations = [_locations(knob, outputs, by_output) for knob in knobs]
        self.idle = self._parameters(range(len(knobs)), [knob.candidates[-1] for knob in knobs])

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs of the original."""
        return self._network.outputs

    def original(self, feed: Feed, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Outputs `names` of the original network for `feed`."""
        return self._network(feed, (), names, self.idle)

    def spiking(
        self, feed: Feed, names: Sequence[str], choice: Sequence[Candidate], alone: Collection[int] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Outputs `names` of the spiking network for `feed`.

        Args:
            feed: inputs of the network.
            names: names of outputs.
            choice: a candidate for each knob.
            alone: indices of the only knobs whose nodes spike; all by default. The other neurons of these nodes have
                their most exact candidates.
        """
        trial = self.trial(choice, alone)
        return self._network(feed, trial.nodes, names, self.idle | trial.parameters)

    def trial(self, choice: Sequence[Candidate], alone: Collection[int] | None = None) -> Trial:
        """The neurons of a run; arguments as of `spiking`."""
        if alone is None:
            return Trial(frozenset(self._network.nodes), self._parameters(range(len(self.knobs)), choice))
        nodes = frozenset(node for i in alone for node, _ in self._locations[i])
        return Trial(nodes, self._parameters(alone, choice))

    def coded(self, feed: Feed, index: int) -> NDArray[Any] | None:
        """The tensor of the original that the knob with `index` codes; None where it is no identity code."""
        node = self._network.nodes[next(iter(self._locations[index]))[0]]
        if node.source != IDENTITY:
            return None
        (exact,) = self._network(feed, (), [node.original], self.idle).values()
        return exact

    def _parameters(self, indices: Iterable[int], choice: Sequence[Candidate]) -> Parameters:
        """Parameters of the knobs with these indices, with their candidates of `choice`."""
        parameters: Parameters = {}
        for i in indices:
            tensors = choice[i].coding.neuron.tensors() | {"scale": choice[i].coding.scale}
            for node, prefix in self._locations[i]:
                parameters |= {(node, prefix + name): array for name, array in tensors.items()}
        return {key: array for key, array in parameters.items() if key in self._network.parameters}


def _locations(knob: Knob, outputs: Mapping[Site, str], by_output: Mapping[str, str]) -> set[Location]:
    """The locations of the neuron of `knob`: one for each graph that reads it."""
    return {_location(site, role, outputs, by_output) for site, role in knob.members}


def _location(site: Site, role: NeuronRole, outputs: Mapping[Site, str], by_output: Mapping[str, str]) -> Location:
    """The location of the neuron of `site` with `role`."""
    if role.operand is None or not isinstance(site, MatmulSite):
        return by_output[outputs[site]], role.prefix
    reader = site.readers[role.operand]
    code = reader.node.inputs[reader.input_index]
    assert code is not None, "a matmul has its operands"
    return by_output[str(code.name)], role.prefix

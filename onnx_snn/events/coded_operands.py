# SPDX-License-Identifier: Apache-2.0
"""Operands of products that arrive as spikes, and the tensors of a run from which their spikes follow.

Between a code and a product may lie nodes that only move elements. Since a neuron answers element by element, its
argument and its channel scale are moved by copies of these nodes, and give the spikes in the order of the operand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.evaluation.stored_neurons import stored_neuron
from onnx_snn.events.spike_events import SpikeEvents
from onnx_snn.graph.node_builder import NodeBuilder
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.metadata import IDENTITY, SOURCE_KEY
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import DOMAIN, MBE_NEURON
from onnx_snn.profiling.counted_nodes import CARRIERS

CASTS = frozenset(("Cast", "CastLike"))
"""Carriers that round elements and do not move them."""


@dataclass(frozen=True, eq=False)
class CodedOperand:
    """An operand that a neuron codes.

    Attributes:
        node: the neuron's node.
        neuron: its parameters.
        argument: the tensor that holds the arguments of the neuron in the order of the operand.
        scale: the tensor that holds the channel scale of each element in that order; None for a scale of 1.
    """

    node: ir.Node
    neuron: MbeNeuron
    argument: ir.Value
    scale: ir.Value | None

    @classmethod
    def of(cls, operand: ir.Value, builder: NodeBuilder) -> CodedOperand | None:
        """The code of `operand`; None where it is not coded.

        Args:
            operand: operand of a product in the main graph.
            builder: appends the nodes that move argument and scale.
        """
        moves: list[ir.Node] = []
        node = operand.producer()
        while node is not None and node.domain == "" and node.op_type in CARRIERS and node.inputs[0] is not None:
            moves.append(node)
            node = node.inputs[0].producer()
        if node is None or node.domain != DOMAIN or node.op_type != MBE_NEURON.name:
            return None
        stored = stored_neuron(node) if node.metadata_props.get(SOURCE_KEY) == IDENTITY else None
        if stored is None:
            return None
        argument, scale = node.inputs[0], node.inputs[-1]
        assert argument is not None, "all inputs of a neuron are required"
        assert scale is not None, "all inputs of a neuron are required"
        wide = None if (stored.scale == 1.0).all() else _expanded(scale, argument, builder)
        for move in reversed([each for each in moves if each.op_type not in CASTS]):
            argument = _moved(move, argument, builder)
            wide = wide and _moved(move, wide, builder)
        return cls(node, stored.neuron, argument, wide)

    def events(self, tensors: Mapping[str, NDArray[Any]]) -> SpikeEvents:
        """The spikes in a run, from its tensors by name."""
        argument = np.asarray(tensors[str(self.argument.name)], np.float32)
        scale = np.ones_like(argument) if self.scale is None else np.asarray(tensors[str(self.scale.name)], np.float32)
        return SpikeEvents(self.neuron, argument, scale)

    @property
    def observed(self) -> list[str]:
        """Names of the tensors that `events` reads."""
        return [str(value.name) for value in (self.argument, self.scale) if value is not None]


def builder_of(model: ir.Model) -> NodeBuilder:
    """Appends nodes to the main graph of `model`."""
    return NodeBuilder(UniqueNames.of(model), model.graph)


def _expanded(scale: ir.Value, like: ir.Value, builder: NodeBuilder) -> ir.Value:
    """`scale` broadcast to the shape of `like`."""
    shape = builder.named(f"{like.name}/shape", "Shape", [like])
    return builder.named(f"{like.name}/scale", "Expand", [scale, shape])


def _moved(move: ir.Node, value: ir.Value, builder: NodeBuilder) -> ir.Value:
    """The elements of `value` in the order that the node `move` gives them."""
    return builder.named(f"{value.name}/moved", move.op_type, [value, *move.inputs[1:]], dict(move.attributes))

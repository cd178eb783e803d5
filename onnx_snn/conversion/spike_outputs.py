# SPDX-License-Identifier: Apache-2.0
"""Meter: let the spiking nodes of a model count their spikes, as outputs of the model.

Every neuron of a spiking node gets an output int64 [S, N] behind those of the model, in graph order:

    <node>/spikes                                           MbeNeuron
    <node>/exp2_spikes, <node>/reciprocal_spikes            SpikingSoftmax
    <node>/deviation_spikes, <node>/rsqrt_spikes            SpikingLayerNormalization, SpikingRMSNormalization

It holds the spikes of one run by time step and basis, summed over elements. The functions in the file become those
that count, since a call must take every output of a function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import onnx_ir as ir

from onnx_snn.errors import ModelError
from onnx_snn.graph.node_builder import NodeBuilder, add_initializer
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.metadata import SOURCE_KEY
from onnx_snn.neurons import function_bodies, opset
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import DOMAIN, OPERATORS, PARAMETERS, Body
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.neurons.step_kernels import size_kernels

COLLECTED = "collected/"
"""Prefix of the outputs that hold the counts of many neurons."""


class Meter(NamedTuple):
    """Where a neuron's spikes come out.

    Attributes:
        node: the spiking node.
        prefix: which of its neurons, such as "exp2_"; empty where there is one.
        output: the model's output that holds the spikes.
    """

    node: ir.Node
    prefix: str
    output: str

    @property
    def role(self) -> NeuronRole:
        """The role of the neuron in its spiking op."""
        return next(role for role in OPERATORS[self.node.op_type].roles if role.prefix == self.prefix)

    @property
    def source(self) -> str:
        """What the node stands for, such as "identity" or "gelu"."""
        return self.node.metadata_props.get(SOURCE_KEY, self.node.op_type)

    @property
    def neuron(self) -> MbeNeuron:
        """The neuron, from the parameters that the model stores.

        Raises:
            ModelError: a parameter is not stored, but computed.
        """
        names = OPERATORS[self.node.op_type].inputs
        tensors = {}
        for parameter in PARAMETERS:
            value = self.node.inputs[names.index(self.prefix + parameter)]
            if value is None or value.const_value is None:
                raise ModelError(f"node {self.node.name!r}: its {self.prefix}{parameter} is not stored in the model")
            tensors[parameter] = value.const_value.numpy()
        scaled = dict(OPERATORS[self.node.op_type].neurons)[self.prefix]
        return MbeNeuron(**tensors, polarity=self.node.attributes.get_int("polarity", 0) if scaled else 0)


def spiking_nodes(model: ir.Model) -> list[ir.Node]:
    """The spiking nodes of the main graph, in its order."""
    return [node for node in model.graph if node.domain == DOMAIN]


def is_count(value: ir.Value) -> bool:
    """Whether `value` holds spikes that a spiking node counted."""
    producer = value.producer()
    return producer is not None and producer.domain == DOMAIN and value.index() != 0


def meter(model: ir.Model, body: Body) -> list[Meter]:
    """Let every spiking node of `model` count, in place, and make the counts outputs of the model.

    A model that counts already stays as it is.

    Args:
        model: a converted model.
        body: form of its functions.

    Returns:
        The meters of all neurons, in graph order.
    """
    nodes = spiking_nodes(model)
    if all(len(node.outputs) > 1 for node in nodes):
        return [Meter(node, prefix, str(value.name)) for node in nodes for prefix, value in _counts(node)]
    names, meters = UniqueNames.of(model), []
    for node in nodes:
        operator = OPERATORS[node.op_type]
        node.resize_outputs(len(operator.outputs(metered=True)))
        for name, (prefix, value) in zip(operator.outputs(metered=True)[1:], _counts(node), strict=True):
            value.name = names.take(f"{node.name}/{name}")
            value.type, value.shape = ir.TensorType(ir.DataType.INT64), ir.Shape(_kernel_shape(node, prefix))
            model.graph.outputs.append(value)
            meters.append(Meter(node, prefix, value.name))
    add_functions(model, {node.op_type for node in nodes}, body, metered=True)
    return meters


def add_gates(model: ir.Model, meters: Iterable[Meter]) -> None:
    """Give every ungated neuron with sizes a gate, in place: outputs stay, and saturated elements are counted apart.

    Counts [T, N] become [T + 1, N]: what a saturated element fires at the gate is missing at every other step.
    """
    unique = UniqueNames.of(model)
    for entry in meters:
        neuron, node = entry.neuron, entry.node
        if neuron.sizes is None or neuron.sizes.gate:
            continue
        names = OPERATORS[node.op_type].inputs
        for parameter, kernel in size_kernels(neuron.sizes.steps, gate=True).items():
            value = add_initializer(model, unique, f"{entry.output}/gated_{parameter}", kernel)
            node.replace_input_with(names.index(entry.prefix + parameter), value)
        count = dict(_counts(node))[entry.prefix]
        count.shape = ir.Shape((neuron.timesteps + 1, neuron.bases))


def collect(model: ir.Model, meters: Sequence[Meter]) -> dict[str, list[Meter]]:
    """Make one output of all counts that have the same number of bases, in place of many small ones.

    To fetch an output costs more than to count. The new outputs `collected/<n>` stand behind the model's own.

    Returns:
        By the name of each new output the meters whose counts it holds below each other, int64 [all their steps, N].
    """
    groups: dict[int, list[Meter]] = {}
    for entry in meters:
        groups.setdefault(entry.neuron.bases, []).append(entry)
    model.graph.outputs[:] = [value for value in model.graph.outputs if not is_count(value)]
    builder, collected = NodeBuilder(UniqueNames.of(model), model.graph), {}
    for number, group in enumerate(groups.values()):
        counts = [dict(_counts(entry.node))[entry.prefix] for entry in group]
        output = builder.named(f"{COLLECTED}{number}", "Concat", counts, {"axis": 0}, dtype=ir.DataType.INT64)
        output.shape = ir.Shape((None, group[0].neuron.bases))
        model.graph.outputs.append(output)
        collected[str(output.name)] = group
    return collected


def add_functions(model: ir.Model, names: Iterable[str], body: Body, *, metered: bool) -> None:
    """Give `model` the functions that define the op types `names`, or others in place of those it has."""
    opset_version = model.graph.opset_imports[""]
    for proto in function_bodies.function_protos(names, opset=opset_version, body=body, metered=metered):
        function = ir.serde.deserialize_function(proto)
        model.functions[function.identifier()] = function


def _counts(node: ir.Node) -> Iterator[tuple[str, ir.Value]]:
    """The outputs of a counting node that hold spikes, with the prefix of their neuron."""
    prefixes = (prefix for prefix, _ in OPERATORS[node.op_type].neurons)
    return zip(prefixes, node.outputs[1:], strict=True)


def _kernel_shape(node: ir.Node, prefix: str) -> tuple[int | None, ...]:
    """Shape [S, N] of the neuron's thresholds; unknown sides where they are computed."""
    value = node.inputs[opset.OPERATORS[node.op_type].inputs.index(f"{prefix}threshold")]
    if value is None or value.const_value is None:
        return None, None
    return tuple(value.const_value.shape.numpy())

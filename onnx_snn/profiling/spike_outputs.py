# SPDX-License-Identifier: Apache-2.0
"""Meter: spike counts of the spiking nodes as further outputs of a model.

Every neuron of a spiking node gets an output int64 [S, N] after the outputs of the model, in graph order:

    <node>/spikes                                           MbeNeuron
    <node>/exp2_spikes, <node>/reciprocal_spikes            SpikingSoftmax
    <node>/deviation_spikes, <node>/rsqrt_spikes            SpikingLayerNormalization, SpikingRMSNormalization

It holds the spikes of one run by time step and basis, summed over elements, and over the iterations where the node lies
in the body of a Loop. The functions in the file are replaced by ones with these outputs, since a call must take
every output of a function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnx_snn.arrays import Float32
from onnx_snn.errors import ModelError
from onnx_snn.graph.node_builder import add_initializer
from onnx_snn.graph.subgraphs import around, graph_of, lifted, places, source_of_lifted, unconditional_graphs
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.metadata import SOURCE_KEY
from onnx_snn.neurons import function_bodies, opset
from onnx_snn.neurons.bodies.guarantees import Guarantees
from onnx_snn.neurons.mbe import UNSCALED, MbeNeuron
from onnx_snn.neurons.opset import DOMAIN, OPERATORS, PARAMETERS, Body, Precision, operator_of
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.neurons.step_kernels import size_kernels


class Meter(NamedTuple):
    """Spike counter of one neuron.

    Attributes:
        node: the spiking node.
        prefix: prefix of the neuron's parameters among the inputs of the node, such as "exp2_"; empty where it is the
            only one.
        output: name of the model output that holds its spike counts.
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
        """What the node computes in the original network, such as "identity" or "gelu"."""
        return self.node.metadata_props.get(SOURCE_KEY, self.node.op_type)

    @property
    def neuron(self) -> MbeNeuron:
        """The neuron, from the parameters that the model stores.

        Raises:
            ModelError: a parameter is not stored, but computed.
        """
        tensors = {parameter: self._stored(parameter) for parameter in PARAMETERS}
        return MbeNeuron(**tensors, polarity=self.node.attributes.get_int("polarity", 0) if self._scaled else 0)

    @property
    def scales(self) -> tuple[float, float]:
        """The smallest and the largest channel scale of the neuron; 1 where it has none, or is given no elements.

        Raises:
            ModelError: the scale is not stored, but computed.
        """
        scale = self._stored("scale") if self._scaled else UNSCALED
        return (float(scale.min()), float(scale.max())) if scale.size else (1.0, 1.0)

    @property
    def _scaled(self) -> bool:
        return dict(OPERATORS[self.node.op_type].neurons)[self.prefix]

    def _stored(self, parameter: str) -> Float32:
        """An input of the neuron, from the initializers of the model."""
        value = self.node.inputs[OPERATORS[self.node.op_type].inputs.index(self.prefix + parameter)]
        if value is None or value.const_value is None:
            raise ModelError(
                f"node {self.node.name!r}: its input {self.prefix}{parameter} is not an initializer of the model"
            )
        return value.const_value.numpy()


def spiking_nodes(model: ir.Model) -> list[ir.Node]:
    """The spiking nodes of the main graph, in its order."""
    return [node for node in model.graph if node.domain == DOMAIN]


def countable_nodes(model: ir.Model) -> list[ir.Node]:
    """The spiking nodes whose spikes can be counted: those of the main graph, and in bodies that always run.

    Raises:
        ModelError: one of them is of no spiking operator.
    """
    graphs = unconditional_graphs(model)
    nodes = [node for node in model.graph.all_nodes() if node.domain == DOMAIN and node.graph in graphs]
    for node in nodes:
        operator_of(node)
    return nodes


def is_count(value: ir.Value) -> bool:
    """Whether `value` holds spikes that a spiking node counted."""
    return _count_behind(value) is not None


def _count_behind(value: ir.Value) -> ir.Value | None:
    """The output of a spiking node whose spikes `value` holds; None where it holds none."""
    producer = value.producer()
    if producer is not None and producer.op_type == "ReduceSum" and producer.inputs[0] is not None:
        value = source_of_lifted(producer.inputs[0])
        producer = value.producer()
    counts = producer is not None and producer.domain == DOMAIN and value.index() != 0
    return value if counts else None


def meter(model: ir.Model, body: Body, precision: Precision = Precision.DOUBLE) -> list[Meter]:
    """Add the spike counts of every spiking node to the outputs of `model`, in place.

    A model that has them already is not changed.

    Args:
        model: a converted model.
        body: form of its functions.
        precision: type in which they add up rows.

    Returns:
        The meters of all neurons, in graph order.
    """
    nodes = countable_nodes(model)
    if all(len(node.outputs) > 1 for node in nodes):
        held = {_count_behind(output): str(output.name) for output in model.graph.outputs}
        return [Meter(node, prefix, held[value]) for node in nodes for prefix, value in _counts(node)]
    meters, totals = [], _Totals(model)
    for node in nodes:
        operator = OPERATORS[node.op_type]
        node.resize_outputs(len(operator.outputs(metered=True)))
        for name, (prefix, value) in zip(operator.outputs(metered=True)[1:], _counts(node), strict=True):
            total = totals.of(value, f"{node.name}/{name}")
            total.type, total.shape = ir.TensorType(ir.DataType.INT64), ir.Shape(_kernel_shape(node, prefix))
            model.graph.outputs.append(total)
            meters.append(Meter(node, prefix, str(total.name)))
    used = {node.op_type for node in model.graph.all_nodes()} & OPERATORS.keys()
    add_functions(model, used, body, metered=True, precision=precision)
    return meters


class _Totals:
    """Counts as values of the main graph: of nodes in bodies, the sums over all iterations."""

    def __init__(self, model: ir.Model) -> None:
        self._model, self._names, self._places = model, UniqueNames.of(model), places(model)

    def of(self, count: ir.Value, name: str) -> ir.Value:
        """The value `name`, or of the next unused name, that holds the total of `count`."""
        name = self._names.take(name)
        depth = len(list(around(graph_of(count.producer() or count), self._places)))
        if not depth:
            count.name = name
            return count
        count.name = self._names.take(f"{name}/iteration")
        count.type, count.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([None, None])
        (stacked,) = lifted(self._model, [count])
        axes = add_initializer(self._model, self._names, f"{name}/axes", np.arange(depth))
        total = ir.node("ReduceSum", [stacked, axes], {"keepdims": 0})
        self._model.graph.append(total)
        total.outputs[0].name = name
        return total.outputs[0]


def add_gates(model: ir.Model, meters: Iterable[Meter]) -> None:
    """Give every neuron with step sizes a gate, in place, so that saturated elements have a count of their own.

    Outputs are the same. Counts [T, N] become [T + 1, N]: a saturated element fires at the gate and at no other step.
    """
    unique, outputs = UniqueNames.of(model), {value.name: value for value in model.graph.outputs}
    for entry in meters:
        neuron, node = entry.neuron, entry.node
        if neuron.sizes is None or neuron.sizes.gate:
            continue
        names = OPERATORS[node.op_type].inputs
        for parameter, kernel in size_kernels(neuron.sizes.steps, gate=True).items():
            value = add_initializer(model, unique, f"{entry.output}/gated_{parameter}", kernel)
            node.replace_input_with(names.index(entry.prefix + parameter), value)
        outputs[entry.output].shape = ir.Shape((neuron.timesteps + 1, neuron.bases))


def add_functions(
    model: ir.Model, names: Iterable[str], body: Body, *, metered: bool, precision: Precision = Precision.DOUBLE
) -> None:
    """Add the functions that define the op types `names` to `model`, in place of any that it has.

    Args:
        model: a rewritten model.
        names: spiking op types.
        body: form of the functions.
        metered: whether they return spike counts.
        precision: type in which they add up rows.
    """
    protos = function_bodies.function_protos(
        names,
        opset=model.graph.opset_imports[""],
        body=body,
        metered=metered,
        guarantees=guarantees_of(node for node in model.graph.all_nodes() if node.domain == DOMAIN),
        precision=precision,
    )
    for proto in protos:
        function = ir.serde.deserialize_function(proto)
        model.functions[function.identifier()] = function


def guarantees_of(nodes: Iterable[ir.Node]) -> Guarantees:
    """What all neurons of spiking `nodes` have in common; nothing if a parameter is not stored, but computed."""
    meters = [Meter(node, role.prefix, "") for node in nodes for role in OPERATORS[node.op_type].roles]
    try:
        scales = [scale for meter in meters for scale in meter.scales]
        return Guarantees.of(
            [(meter.role, meter.neuron) for meter in meters],
            largest_scale=max(scales, default=1.0),
            smallest_scale=min(scales, default=1.0),
        )
    except ModelError:
        return function_bodies.ANY_NEURONS


def _counts(node: ir.Node) -> Iterator[tuple[str, ir.Value]]:
    """The outputs of a counting node that hold spikes, with the prefix of their neuron."""
    prefixes = (prefix for prefix, _ in OPERATORS[node.op_type].neurons)
    return zip(prefixes, node.outputs[1:], strict=True)


def _kernel_shape(node: ir.Node, prefix: str) -> tuple[int | None, ...]:
    """Shape [S, N] of the neuron's thresholds; (None, None) where they are not stored in the model."""
    value = node.inputs[opset.OPERATORS[node.op_type].inputs.index(f"{prefix}threshold")]
    if value is None or value.const_value is None:
        return None, None
    return tuple(value.const_value.shape.numpy())

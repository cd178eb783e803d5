# SPDX-License-Identifier: Apache-2.0
"""Unroll: a converted network in standard operators alone, without functions, and without loops over time steps.

Spikes are boolean tensors [S, N, ...], products with coded operands sums of c[t, n] * (S[t, n] W). A product of two
coded activations has one of them as spikes and the other decoded. It is the definition of the network for compilers
and for flows to hardware, not a fast way to run it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, RemoveUnusedNodesPass

from onnx_snn.errors import ModelError
from onnx_snn.evaluation.range_guard import load_unguarded
from onnx_snn.evaluation.stored_neurons import stored_neuron
from onnx_snn.events.coded_operands import CodedOperand
from onnx_snn.formatting import wrapped
from onnx_snn.graph.inlined import refuse_inlined
from onnx_snn.graph.model_reader import ModelSource
from onnx_snn.graph.model_writer import save_model
from onnx_snn.graph.node_builder import NodeBuilder, SharedInitializers
from onnx_snn.graph.product_operators import operands_of, product_operator
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.neurons.opset import DOMAIN
from onnx_snn.output_paths import check_outputs
from onnx_snn.rules.rule import name_of
from onnx_snn.runtime.tap_session import inferred_types
from onnx_snn.unrolling.composites import write_out_composites
from onnx_snn.unrolling.products import LINEAR, unrolled_product, why_dense
from onnx_snn.unrolling.spike_tensors import FLOAT, GraphWriter, SpikeTensor


@dataclass(frozen=True)
class Unrolled:
    """What became of a network.

    Attributes:
        nodes: number of nodes.
        neurons: number of neurons whose spikes are tensors.
        products: names of the products that are sums over spikes.
        dense: products with coded operands that are none, with the reason.
    """

    nodes: int
    neurons: int
    products: tuple[str, ...]
    dense: dict[str, str]

    def text(self) -> str:
        """What became of the network, for a terminal."""
        head = (
            f"{self.nodes} nodes of standard operators; {self.neurons} neurons as tensors of spikes, "
            f"{len(self.products)} products as sums over spikes"
        )
        return "\n".join(map(wrapped, [head, *(f"dense: {name}: {reason}" for name, reason in self.dense.items())]))


def unroll(model: ModelSource, output: str | Path) -> Unrolled:
    """Write the converted network `model` with explicit spikes.

    Args:
        model: path of a converted .onnx file, `ModelProto` or `onnx_ir.Model`; it is not changed.
        output: path of the .onnx file to write.

    Raises:
        ModelError: the model cannot be loaded, or is not unrolled: it has no spiking node, counts its spikes, has
            spiking nodes in bodies or computed parameters, or a tensor of unknown rank.
        OutputError: the file cannot be written.
    """
    check_outputs({"output": output}, {"the model": model})
    network = load_unguarded(model).clone()
    name = str(model) if isinstance(model, (str, Path)) else type(model).__name__
    refuse_inlined(network, name)
    _check(network, name)
    write_out_composites(network)
    unroller = _Unroller(network, name)
    result = unroller.unroll()
    save_model(network, output)
    return result


def _check(network: ir.Model, name: str) -> None:
    """Refuse a network that cannot be unrolled.

    Raises:
        ModelError: it is one.
    """
    spiking = [node for node in network.graph.all_nodes() if node.domain == DOMAIN]
    if not spiking:
        raise ModelError(f"{name}: no spiking nodes; convert it with: onnx-snn convert")
    inside = next((node for node in spiking if node.graph is not network.graph), None)
    if inside is not None:
        raise ModelError(f"{name}: node {name_of(inside)!r} lies in the body of an If or Loop; such are not unrolled")
    counting = next((node for node in spiking if len(node.outputs) > 1), None)
    if counting is not None:
        raise ModelError(f"{name}: node {name_of(counting)!r} counts its spikes; convert it without --meter")


class _Unroller:
    """A network whose only spiking nodes are those of `MbeNeuron`, changed in place."""

    def __init__(self, network: ir.Model, name: str) -> None:
        self._network, self._name = network, name
        self._names = UniqueNames.of(network)
        self._constants = SharedInitializers(network, self._names)
        self._types = _types(network)
        self._spikes: dict[ir.Value, SpikeTensor] = {}
        self._products: list[str] = []
        self._dense: dict[str, str] = {}

    def unroll(self) -> Unrolled:
        """Write out all neurons and products."""
        neurons = [node for node in self._network.graph if node.domain == DOMAIN]
        for node in list(self._network.graph):
            if node.domain == DOMAIN:
                self._spikes[node.outputs[0]] = self._of_neuron(node)
            elif product_operator(node) is not None:
                self._write_product(node)
        # An answer may be the argument of another neuron, so that all are written before any is replaced.
        answers = [self._answer(node) for node in neurons]
        for node, (write, answer) in zip(neurons, answers, strict=True):
            self._replace(node, write, answer)
        network = self._network
        for identifier in [each for each in network.functions if each[0] == DOMAIN]:
            del network.functions[identifier]
        InlinePass()(network)
        RemoveUnusedNodesPass()(network)
        network.graph.opset_imports.pop(DOMAIN, None)
        count = sum(1 for _ in network.graph.all_nodes())
        return Unrolled(count, len(neurons), tuple(self._products), self._dense)

    def _of_neuron(self, node: ir.Node) -> SpikeTensor:
        stored = stored_neuron(node)
        if stored is None:
            raise ModelError(
                f"{self._name}: node {name_of(node)!r}: a parameter of its neuron is computed in the graph"
            )
        argument, scale = node.inputs[0], node.inputs[-1]
        assert argument is not None, "all inputs of a neuron are required"
        write = self._writer(node)
        wide = None if (stored.scale == 1.0).all() else scale
        spikes = SpikeTensor.of(write, stored.neuron, argument, wide, self._rank(argument))
        self._network.graph.insert_before(node, write.taken())
        return spikes

    def _answer(self, node: ir.Node) -> tuple[GraphWriter, ir.Value]:
        """The decoded answer of a neuron, in nodes before it."""
        write = self._writer(node)
        answer = self._spikes[node.outputs[0]].decoded(write)
        self._network.graph.insert_before(node, write.taken())
        return write, answer

    def _write_product(self, node: ir.Node) -> None:
        """Replace a product by sums over the spikes of its first coded operand."""
        write = self._writer(node)
        coded = [(place, each) for place, each in enumerate(self._coded(node, write)) if each is not None]
        if not coded:
            return
        reason = None
        for place, spikes in coded:
            reason = self._why_dense(node, place)
            if reason is None:
                y = unrolled_product(write, node, spikes, place, self._rank(node.outputs[0]))
                self._products.append(name_of(node))
                self._replace(node, write, y)
                return
        self._dense[name_of(node)] = reason or ""

    def _why_dense(self, node: ir.Node, place: int) -> str | None:
        operands = operands_of(node)
        if node.op_type not in LINEAR or node.domain != "":
            return "operator without a form over spikes"
        if any(self._type(value)[0] is not FLOAT for value in operands):
            return "not in float32"
        first, second = (self._rank(value) for value in operands)
        return why_dense(node, place, (first, second))

    def _coded(self, node: ir.Node, write: GraphWriter) -> Iterator[SpikeTensor | None]:
        """The spikes of each operand; None where it is not coded."""
        for operand in operands_of(node):
            code = CodedOperand.of(operand, write.builder)
            if code is None:
                yield None
            elif operand in self._spikes or code.argument is code.node.inputs[0]:
                yield self._spikes.get(operand) or self._spikes[code.node.outputs[0]]
            else:
                self._spikes[operand] = SpikeTensor.of(
                    write, code.neuron, code.argument, code.scale, self._rank(operand)
                )
                yield self._spikes[operand]
        # What is made of operands that others read too stays, also where the product stays dense.
        self._network.graph.insert_before(node, write.taken())

    def _replace(self, node: ir.Node, write: GraphWriter, value: ir.Value) -> None:
        graph = self._network.graph
        ir.convenience.replace_nodes_and_values(graph, node, [node], write.taken(), node.outputs, [value])

    def _writer(self, node: ir.Node) -> GraphWriter:
        return GraphWriter(NodeBuilder(self._names), self._constants, name_of(node))

    def _type(self, value: ir.Value) -> tuple[ir.DataType | None, int]:
        if value.const_value is not None:
            return value.const_value.dtype, len(value.const_value.shape)
        return self._types.get(str(value.name), (value.dtype, -1))

    def _rank(self, value: ir.Value) -> int:
        rank = self._type(value)[1]
        if rank < 0:
            raise ModelError(
                f"{self._name}: the rank of tensor {value.name!r} is unknown; give its inputs static shapes"
            )
        return rank


def _types(network: ir.Model) -> dict[str, tuple[ir.DataType | None, int]]:
    """Element type and rank, -1 where unknown, of the tensors that neurons and products read and write.

    A neuron answers in the shape of its argument, so that the rest of the graph is inferred with copies in their place.
    """
    copy = network.clone()
    names: list[str] = []
    for node in list(copy.graph):
        if node.domain == DOMAIN or product_operator(node) is not None:
            read = node.inputs[:1] if node.domain == DOMAIN else operands_of(node)
            values = [value for value in (*read, node.outputs[0]) if value is not None and value.const_value is None]
            names += [str(value.name) for value in values]
        if node.domain == DOMAIN:
            node.domain, node.op_type = "", "Identity"
            node.attributes.clear()
            node.resize_inputs(1)
    for identifier in [each for each in copy.functions if each[0] == DOMAIN]:
        del copy.functions[identifier]
    copy.graph.opset_imports.pop(DOMAIN, None)
    RemoveUnusedNodesPass()(copy)
    left = {str(value.name) for node in copy.graph for value in (*node.inputs, *node.outputs) if value is not None}
    known = inferred_types(copy, [name for name in dict.fromkeys(names) if name in left])
    return {name: (dtype, -1 if shape is None else len(shape)) for name, (dtype, shape) in known.items()}

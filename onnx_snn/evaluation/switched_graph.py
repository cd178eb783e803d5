# SPDX-License-Identifier: Apache-2.0
"""The graph of a switched model: an `If` selects each spiking node or the original's nodes that it replaces."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from onnx_snn.errors import ModelError
from onnx_snn.graph.inlined import refuse_inlined
from onnx_snn.graph.subgraphs import Places, around, closed_around, graph_of, places, why_closed
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.metadata import IDENTITY, PART_OF_KEY, SOURCE_KEY
from onnx_snn.neurons import opset
from onnx_snn.neurons.function_bodies import function_protos

SWITCH = "onnx_snn.switch."
"""Prefix of the names of the inputs, bool [], that switch spiking nodes on."""


@dataclass(frozen=True)
class SpikingNode:
    """A spiking node and its place in the network.

    Attributes:
        name: name of the node.
        source: operation that the node replaces, such as "gelu"; "identity" for a code.
        output: name of the tensor that it computes; the original has a tensor of this name unless the node is a code.
        original: name of the original's tensor that the output approximates; for a code this is the node's input.
        readers: names of the nodes that read the output; of nodes without a name, of their first outputs.
        anchor: name of the tensor of the main graph that the output is or, in a branch, that the If around it computes.
    """

    name: str
    source: str
    output: str
    original: str
    readers: tuple[str, ...]
    anchor: str


class SwitchedGraph:
    """A spiking network in which an `If` selects each spiking node or the original's nodes that it replaces.

    Args:
        original: the original network; it is not changed.
        model: the converted network; changed in place.

    Attributes:
        model: the network with switches.
        nodes: its spiking nodes, in graph order.
        switches: for the name of each node the name of the input, bool [], that switches it on.

    Raises:
        ModelError: `model` has no spiking node, has one that cannot be observed, or was not converted from `original`.
    """

    def __init__(self, original: ir.Model, model: ir.Model) -> None:
        self.model = model
        self._known = _values(model)
        self._original = _values(original)
        self._names = UniqueNames.of(model, original)
        self._places = places(model)
        self._parts = _parts(model)
        spiking = _spiking_nodes(model, self._places)
        names = [str(value.name) for value in original.graph.outputs]
        del model.graph.outputs[len(names) :]  # a metered network has spike counts after the original's outputs
        found = [str(value.name) for value in model.graph.outputs]
        if found != names:
            raise ModelError(
                f"the spiking network has outputs {found}, the original {names}; give the original of this network"
            )
        self._spiking = {node.name or str(node.outputs[0].name): node for node in spiking}
        self.switches: dict[str, str] = {}
        self.nodes = [self._switch(node, index) for index, node in enumerate(spiking)]
        model.graph.sort()

    def free_parameters(self) -> dict[tuple[str, str], str]:
        """Turn the parameters of all neurons into inputs of the model, separate ones for each node.

        Returns:
            The names of these inputs by the names of node and parameter ("exp2_u_rest", "scale", ...).
        """
        inputs = {}
        for name, node in self._spiking.items():
            operator = opset.OPERATORS[node.op_type]
            for index in range(len(operator.leading), len(operator.inputs)):
                parameter, value = operator.inputs[index], node.inputs[index]
                if value is not None and value.const_value is not None:
                    inputs[name, parameter] = self._names.take(f"{name}.{parameter}")
                    free = ir.val(inputs[name, parameter], dtype=ir.DataType.FLOAT)
                    free.shape = ir.Shape([None] * len(value.const_value.shape))
                    node.replace_input_with(index, free)
                    self.model.graph.inputs.append(free)
        self._serve_any_neurons()
        return inputs

    def _serve_any_neurons(self) -> None:
        """Replace the functions by ones that rely on nothing about the neurons which they were written for."""
        names = [name for domain, name, _ in self.model.functions if domain == opset.DOMAIN]
        metered = any(len(node.outputs) > 1 for node in self._spiking.values())
        for proto in function_protos(names, opset=self.model.graph.opset_imports[""], metered=metered):
            function = ir.serde.deserialize_function(proto)
            self.model.functions[function.identifier()] = function

    def _switch(self, node: ir.Node, index: int) -> SpikingNode:
        """Replace a spiking node by an `If` that selects it or the original's nodes; `index` numbers its switch."""
        chain, source = self._chain(node), node.metadata_props.get(SOURCE_KEY, "")
        output = chain[-1].outputs[0]
        name, anchor = str(output.name), self._anchor(output)
        readers = tuple(user.name or str(user.outputs[0].name) for user in output.consumers())
        x = chain[0].inputs[0]
        assert x is not None, "a spiking node reads a tensor"
        exact = [ir.node("Identity", [x])] if source == IDENTITY else self._copied(name)
        switch = ir.val(self._names.take(f"{SWITCH}{index}"), dtype=ir.DataType.BOOL, shape=ir.Shape([]))
        self.model.graph.inputs.append(switch)
        self.switches[node.name or name] = str(switch.name)
        self._known[name] = self._chosen(switch, chain, exact)
        original = str(x.name) if source == IDENTITY else name
        return SpikingNode(node.name or name, source, name, original, readers, anchor)

    def _anchor(self, output: ir.Value) -> str:
        """Name of the tensor of the main graph that depends on `output` first."""
        outermost = list(around(graph_of(output), self._places))
        return str((outermost[-1].node.outputs[0] if outermost else output).name)

    def _chosen(self, switch: ir.Value, chain: list[ir.Node], exact: list[ir.Node]) -> ir.Value:
        """The output of a new `If` in place of `chain`, which runs `chain` if `switch` is true, else `exact`."""
        output = chain[-1].outputs[0]
        name = str(output.name)
        selection = ir.node("If", [switch], name=self._names.take(f"{switch.name}.node"))
        graph = graph_of(chain[-1])
        graph.insert_before(chain[-1], selection)
        (switched,) = selection.outputs
        output.replace_all_uses_with(switched, replace_graph_outputs=True)
        graph.remove(chain)
        switched.name, switched.type, switched.shape = name, output.type, output.shape
        output.name = self._names.take(f"{name}/spiking")
        exact[-1].outputs[0].name = self._names.take(f"{name}/exact")
        for branch, nodes in (("then_branch", chain), ("else_branch", exact)):
            last = nodes[-1].outputs[0]
            last.type = output.type or ir.TensorType(ir.DataType.FLOAT)
            graph = ir.Graph([], [last], nodes=nodes, name=f"{switch.name}.{branch}")
            selection.attributes[branch] = ir.AttrGraph(branch, graph)
        return switched

    def _chain(self, node: ir.Node) -> list[ir.Node]:
        """The spiking node, with the nodes that the conversion added before and after it.

        Those are Cast, Transpose and Sum nodes, or all nodes that are marked as parts of what the node replaces.

        Raises:
            ModelError: the chain does not end in a tensor of the original.
        """
        if parts := self._parts.get(node.name or ""):
            return [each for each in graph_of(node) if each is node or each in parts]
        chain, code = [node], node.metadata_props.get(SOURCE_KEY) == IDENTITY
        while (before := self._added(_producer(chain[0]))) is not None:
            chain.insert(0, before)
        # The chain of a function ends in a tensor of the original; a code is followed by a Cast if one precedes it.
        cast = any(added.op_type == "Cast" for added in chain)
        while cast and chain[-1] is node if code else chain[-1].outputs[0].name not in self._original:
            after = self._added(next(iter(chain[-1].outputs[0].consumers()), None))
            if after is None:
                break
            chain.append(after)
        if not code and chain[-1].outputs[0].name not in self._original:
            raise ModelError(
                f"tensor {chain[-1].outputs[0].name!r} of the spiking network is not in the original; give the "
                "original of this network"
            )
        return chain

    def _added(self, node: ir.Node | None) -> ir.Node | None:
        """`node`, if it is a cast, a transposition or a sum of one operand that conversion added for a spiking node."""
        if node is None or node.op_type not in ("Cast", "Transpose", "Sum") or node.domain or len(node.inputs) > 1:
            return None
        # The last node of a chain has the output name of the node that it replaces, whose op type is then another one.
        original = self._original.get(str(node.outputs[0].name))
        producer = original.producer() if original is not None else None
        return None if producer is not None and producer.op_type == node.op_type else node

    def _copied(self, name: str) -> list[ir.Node]:
        """Copies of the original's nodes that compute its tensor `name` from tensors that the spiking network has."""
        target = self._original[name]
        copies: dict[ir.Value, ir.Value] = {}
        nodes: list[ir.Node] = []

        def copy(value: ir.Value | None) -> ir.Value | None:
            if value is None:
                return None
            if value is not target and value.name in self._known:
                return self._known[value.name]
            if value not in copies:
                producer = value.producer()
                if producer is None:
                    return self._added_initializer(value)
                node = _with_inputs(producer, [copy(read) for read in producer.inputs])
                for old, new in zip(producer.outputs, node.outputs, strict=True):
                    new.name = self._names.take(f"{name}/exact/{old.name}") if old.name else ""
                    copies[old] = new
                nodes.append(node)
            return copies[value]

        copy(target)
        return nodes

    def _added_initializer(self, value: ir.Value) -> ir.Value:
        """The weight `value` of the original as one of the spiking network."""
        if value.const_value is None:
            raise ModelError(f"the spiking network has no input {value.name!r}; give the original of this network")
        copy = ir.val(str(value.name), const_value=value.const_value)
        self.model.graph.register_initializer(copy)
        self._known[str(value.name)] = copy
        return copy


def _with_inputs(node: ir.Node, inputs: list[ir.Value | None]) -> ir.Node:
    """A new node like `node` that reads `inputs`."""
    return ir.Node(
        node.domain,
        node.op_type,
        inputs,
        list(node.attributes.values()),
        num_outputs=len(node.outputs),
        version=node.version,
    )


def _spiking_nodes(model: ir.Model, known: Places) -> list[ir.Node]:
    """The spiking nodes of `model`, whose subgraphs lie at `known` places.

    Raises:
        ModelError: there is none, or one lies where it cannot be observed.
    """
    spiking = [node for node in model.graph.all_nodes() if node.domain == opset.DOMAIN]
    refuse_inlined(model, "the spiking network")
    if not spiking:
        raise ModelError("the spiking network has no spiking node; give a network that onnx-snn has converted")
    for node in spiking:
        closed = closed_around(graph_of(node), known)
        if closed is not None:
            raise ModelError(f"the output of spiking node {node.name!r} cannot be observed: it {why_closed(closed)}")
    return spiking


def _parts(model: ir.Model) -> dict[str, set[ir.Node]]:
    """The nodes that are marked as parts of what a spiking node replaces, by the name of that node."""
    parts: dict[str, set[ir.Node]] = {}
    for node in model.graph.all_nodes():
        if PART_OF_KEY in node.metadata_props:
            parts.setdefault(node.metadata_props[PART_OF_KEY], set()).add(node)
    return parts


def _producer(node: ir.Node) -> ir.Node | None:
    """The node that computes the first input of `node`; None for an input or initializer of the graph."""
    x = node.inputs[0]
    return x.producer() if x is not None else None


def _values(model: ir.Model) -> dict[str, ir.Value]:
    """Inputs, initializers and node outputs of the main graph and its branches, by name."""
    values: dict[str, ir.Value] = {}
    for graph in (*model.graph.subgraphs(), model.graph):
        values |= {str(value.name): value for value in graph.inputs} | dict(graph.initializers)
        values |= {str(value.name): value for node in graph for value in node.outputs if value.name}
    return values

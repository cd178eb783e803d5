# SPDX-License-Identifier: Apache-2.0
"""Places of subgraphs, and lifting of tensors out of them.

A branch of an If runs once or not at all. To lift a tensor out of it, the branch gets the tensor as an additional
output, the other branch an empty tensor, and the If a new output that holds whichever was computed. The body of a Loop
runs any number of times. A tensor in it becomes a scan output, which stacks its values along a new first axis:
axes that are counted from the end stay what they are. This is repeated for each enclosing node. A branch within a body
is empty in some iterations only, and what is empty cannot be stacked with what is not, so its tensors stay inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from onnx_snn.graph.unique_names import UniqueNames

BRANCHES = ("then_branch", "else_branch")
"""Names of the attributes of If that hold its branches."""

BODIES = ("Loop",)
"""Operators whose body runs once for each iteration and can hold spiking nodes. A Scan is written as a Loop, where it
can be: onnxruntime needs the shapes of all that its body returns, which spiking nodes hide from it."""

LIFTED = "onnx_snn.lifted."
"""Prefix of the names of values that are added to lift a tensor."""

EMPTY = (0,)
"""Shape of a lifted tensor whose branch was not taken."""


class Place(NamedTuple):
    """Where a subgraph lies: the attribute of a node."""

    node: ir.Node
    attribute: str

    @property
    def graph(self) -> ir.Graph:
        """The graph that holds the node."""
        return graph_of(self.node)


Places = Mapping[ir.Graph, Place]


def places(model: ir.Model) -> Places:
    """Where each subgraph of the main graph of `model` lies, nested ones too."""
    return {graph: Place(node, name) for node in model.graph.all_nodes() for name, graph in graphs_in(node)}


def graphs_in(node: ir.Node) -> Iterator[tuple[str, ir.Graph]]:
    """The subgraphs of `node` itself, with the names of their attributes."""
    for name, attribute in node.attributes.items():
        if attribute.type == ir.AttributeType.GRAPH:
            yield name, attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from ((name, graph) for graph in attribute.as_graphs())


def around(graph: ir.Graph, known: Places) -> Iterator[Place]:
    """The places of `graph` and of the graphs around it, from the inside out; none for the main graph."""
    while graph in known:
        yield known[graph]
        graph = known[graph].graph


def body_around(graph: ir.Graph, known: Places) -> Place | None:
    """The place of the innermost body that is, or lies around, `graph`; None where there is none."""
    return next((place for place in around(graph, known) if place.attribute not in BRANCHES), None)


def closed_around(graph: ir.Graph, known: Places) -> Place | None:
    """The place of the body out of which tensors of `graph` cannot be lifted; None where they can be.

    It is the body around a branch that is, or lies around, `graph`, or the body of another operator than Loop.
    """
    in_branch = False
    for place in around(graph, known):
        if place.attribute in BRANCHES:
            in_branch = True
        elif in_branch or place.node.op_type not in BODIES:
            return place
    return None


def why_closed(place: Place) -> str:
    """Why nothing can be lifted out of the body at `place`, as the end of a sentence about what lies there."""
    node = f"the {place.node.op_type} {(place.node.name or place.node.outputs[0].name)!r}"
    if place.node.op_type in BODIES:
        return f"lies in a branch within the body of {node}, which some iterations may take and others not"
    return f"lies in the body of {node}, whose shapes spiking nodes would hide from onnxruntime"


def unconditional_graphs(model: ir.Model) -> set[ir.Graph]:
    """The main graph of `model`, and the bodies of Loop nodes that lie in no branch: what runs in every run."""
    known = places(model)
    bodies = (graph for graph in known if all(_is_body(place) for place in around(graph, known)))
    return {model.graph, *bodies}


def _is_body(place: Place) -> bool:
    return place.attribute not in BRANCHES and place.node.op_type in BODIES


def source_of_lifted(value: ir.Value) -> ir.Value:
    """The value in the innermost body that `value`, a value of the main graph, was lifted out of; else itself."""
    producer = value.producer()
    if producer is None or producer.op_type not in BODIES:
        return value
    outputs = producer.attributes["body"].as_graph().outputs
    inner = outputs[(value.index() or 0) + 1]  # behind the condition
    passed = inner.producer()
    if passed is None or passed.op_type != "Identity" or passed.inputs[0] is None:
        return value
    return source_of_lifted(passed.inputs[0])


def graph_of(part: ir.Node | ir.Value) -> ir.Graph:
    """The graph that holds `part`."""
    assert isinstance(part.graph, ir.Graph), "what belongs to a model lies in a graph"
    return part.graph


def lifted(model: ir.Model, values: Sequence[ir.Value]) -> list[ir.Value]:
    """Values of the main graph that hold `values`: themselves, or new outputs of the nodes around them.

    No graph around them may be closed (`closed_around`).
    """
    known = places(model)
    if any(value.dtype is None and graph_of(value) in known for value in values):
        ShapeInferencePass()(model)
    names = UniqueNames.of(model)
    return [_lifted(value, known, names) for value in values]


def _lifted(value: ir.Value, known: Places, names: UniqueNames) -> ir.Value:
    name = f"{LIFTED}{value.name}"
    for depth, place in enumerate(around(graph_of(value), known)):
        value = passed_out(value, place, f"{name}.{depth}", names, otherwise=_empty(value.dtype or ir.DataType.FLOAT))
    return value


def passed_out(
    value: ir.Value, place: Place, name: str, names: UniqueNames, *, otherwise: ir.TensorProtocol
) -> ir.Value:
    """The new output `name` of the node at `place` that holds `value`, a value of the graph there.

    Where that is a branch which is not taken, the output holds `otherwise`.
    """
    dtype = value.dtype or ir.DataType.FLOAT
    # By Identity, because a value can be an output only once.
    given = {place.attribute: ir.node("Identity", [value])}
    if place.attribute in BRANCHES:
        (other,) = set(BRANCHES) - {place.attribute}
        given[other] = ir.node("Constant", [], {"value": otherwise})
    for attribute, node in given.items():
        graph = place.node.attributes[attribute].as_graph()
        graph.append(node)
        node.outputs[0].name, node.outputs[0].dtype = names.take(f"{name}.{attribute}"), dtype
        graph.outputs.append(node.outputs[0])
    place.node.resize_outputs(len(place.node.outputs) + 1)
    output = place.node.outputs[-1]
    output.name, output.dtype = names.take(name), dtype
    return output


def _empty(dtype: ir.DataType) -> ir.TensorProtocol:
    return ir.Tensor(np.empty(EMPTY, dtype.numpy()), dtype=dtype)

# SPDX-License-Identifier: Apache-2.0
"""Places of subgraphs, and lifting of tensors out of the branches of If nodes.

A branch runs once or not at all. To lift a tensor out of it, the branch gets the tensor as an additional output, the
other branch an empty tensor, and the If a new output that holds whichever was computed; this is repeated for each
enclosing If. Tensors in the body of a Loop or Scan cannot be lifted, because it runs any number of times.
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
    return {graph: Place(node, name) for node in model.graph.all_nodes() for name, graph in _graphs(node)}


def _graphs(node: ir.Node) -> Iterator[tuple[str, ir.Graph]]:
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
    """The place of the body of a Loop or Scan that is, or lies around, `graph`; None where there is none."""
    return next((place for place in around(graph, known) if place.attribute not in BRANCHES), None)


def carries_state(node: ir.Node) -> bool:
    """Whether a Loop or Scan hands values from one run of its body to the next."""
    inputs = len(node.attributes["body"].as_graph().inputs)
    return inputs > (2 if node.op_type == "Loop" else node.attributes.get_int("num_scan_inputs", 0))


def graph_of(part: ir.Node | ir.Value) -> ir.Graph:
    """The graph that holds `part`."""
    assert isinstance(part.graph, ir.Graph), "what belongs to a model lies in a graph"
    return part.graph


def lifted(model: ir.Model, values: Sequence[ir.Value]) -> list[ir.Value]:
    """Values of the main graph that hold `values`: themselves, or new outputs of the If nodes around them.

    None of them may lie in the body of a Loop or Scan.
    """
    known = places(model)
    if any(value.dtype is None and graph_of(value) in known for value in values):
        ShapeInferencePass()(model)
    names = UniqueNames.of(model)
    return [_lifted(value, known, names) for value in values]


def _lifted(value: ir.Value, known: Places, names: UniqueNames) -> ir.Value:
    name = f"{LIFTED}{value.name}"
    for depth, place in enumerate(around(graph_of(value), known)):
        value = _passed_out(value, place, f"{name}.{depth}", names)
    return value


def _passed_out(value: ir.Value, place: Place, name: str, names: UniqueNames) -> ir.Value:
    """The new output `name` of the If at `place` that holds `value`, a value of the branch there, or is empty."""
    # By Identity, because a value can be an output only once.
    dtype = value.dtype or ir.DataType.FLOAT
    taken, empty = ir.node("Identity", [value]), ir.node("Constant", [], {"value": _empty(dtype)})
    for branch in BRANCHES:
        node = taken if branch == place.attribute else empty
        graph = place.node.attributes[branch].as_graph()
        graph.append(node)
        node.outputs[0].name, node.outputs[0].dtype = names.take(f"{name}.{branch}"), dtype
        graph.outputs.append(node.outputs[0])
    place.node.resize_outputs(len(place.node.outputs) + 1)
    output = place.node.outputs[-1]
    output.name, output.dtype = names.take(name), dtype
    return output


def _empty(dtype: ir.DataType) -> ir.TensorProtocol:
    return ir.Tensor(np.empty(EMPTY, dtype.numpy()), dtype=dtype)

# SPDX-License-Identifier: Apache-2.0
"""Topological sorting of nodes: onnxruntime accepts them in any order, onnx requires topological order."""

from __future__ import annotations

import onnx
import onnx_ir as ir


def sort(graph: ir.Graph) -> bool:
    """Sort the nodes of `graph` topologically, in place; returns whether any node had to move."""
    place = {node: index for index, node in enumerate(graph)}
    if all(place.get(before, -1) < index for node, index in place.items() for before in node.predecessors()):
        return False
    try:
        graph.sort()
    except ValueError:  # it has a cycle, which the checker names
        return False
    return True


def in_order(proto: onnx.ModelProto, graph: ir.Graph) -> onnx.ModelProto:
    """A copy of `proto` with its nodes in the order of `graph`."""
    place = {output.name: index for index, node in enumerate(graph) for output in node.outputs}
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    nodes = sorted(proto.graph.node, key=lambda node: min((place[name] for name in node.output if name), default=0))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy

# SPDX-License-Identifier: Apache-2.0
"""Counts out of branches and bodies: sums over all iterations, 0 where a branch is not taken.

A count is int64 [k] in any graph of a model. Those of a graph are joined to one tensor, which leaves the graph as a
further output of the node around it: of an If, whose other branch answers zeros; of a Loop, whose iterations are
summed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnx_snn.graph.node_builder import NodeBuilder, SharedInitializers
from onnx_snn.graph.subgraphs import BODIES, BRANCHES, Place, around, graph_of, graphs_in, passed_out, places
from onnx_snn.graph.unique_names import UniqueNames


def why_uncounted(model: ir.Model, graph: ir.Graph) -> str:
    """Why counts cannot leave `graph`, a graph of `model`; empty where they can."""
    for place in around(graph, places(model)):
        if place.attribute not in BRANCHES and place.node.op_type not in BODIES:
            return f"it lies in the body of {place.node.op_type} {place.node.name!r}, which gives out no counts"
    return ""


class Totals:
    """Adds totals of counts to a model.

    Args:
        model: the model, changed in place.
        names: its names.
    """

    def __init__(self, model: ir.Model, names: UniqueNames) -> None:
        self._model, self._names, self._constants = model, names, SharedInitializers(model, names)

    def joined(self, counts: Sequence[ir.Value], name: str) -> tuple[ir.Value, list[ir.Value]]:
        """A value of the main graph that holds the totals of `counts`, one after the other.

        Args:
            counts: int64 [k] each, in graphs out of which counts can be passed (`why_uncounted`).
            name: name of the value, or the start of it where it is taken.

        Returns:
            The value, int64, and the counts in its order.
        """
        return self._of_graph(self._model.graph, set(counts), name)

    def _of_graph(self, graph: ir.Graph, counts: set[ir.Value], name: str) -> tuple[ir.Value, list[ir.Value]]:
        parts: list[ir.Value] = []
        order: list[ir.Value] = []
        for node in list(graph):
            own = [value for value in node.outputs if value in counts]
            parts, order = parts + own, order + own
            for attribute, inner in graphs_in(node):
                if any(graph_of(count) in {inner, *inner.subgraphs()} for count in counts):
                    total, held = self._of_graph(inner, counts, f"{name}/{node.name}")
                    parts.append(self._passed_out(node, attribute, total, name))
                    order += held
        joined = NodeBuilder(self._names, graph).named(name, "Concat", parts, {"axis": 0}, dtype=ir.DataType.INT64)
        joined.shape = ir.Shape([_size(parts)])
        return joined, order

    def _passed_out(self, node: ir.Node, attribute: str, total: ir.Value, name: str) -> ir.Value:
        """What holds `total`, a value of the subgraph of `node`, in the graph of the node."""
        size = _size([total])
        zeros, way = ir.Tensor(np.zeros(size, np.int64)), Place(node, attribute)
        output = passed_out(total, way, f"{name}/{node.name}/{attribute}", self._names, otherwise=zeros)
        if attribute in BRANCHES:
            output.shape = ir.Shape([size])
            return output
        output.shape = ir.Shape([None, size])
        axis = self._constants.get([0], ir.DataType.INT64, "onnx_snn.constant")
        builder = NodeBuilder(self._names, graph_of(node))
        summed = builder.named(
            f"{name}/{node.name}", "ReduceSum", [output, axis], {"keepdims": 0}, dtype=ir.DataType.INT64
        )
        summed.shape = ir.Shape([size])
        return summed


def _size(values: Sequence[ir.Value]) -> int:
    """Number of counts in `values`, whose shapes are known."""
    sizes = [value.shape[0] for value in values if value.shape is not None]
    return sum(size for size in sizes if isinstance(size, int))

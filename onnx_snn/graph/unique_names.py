# SPDX-License-Identifier: Apache-2.0
"""Names: what lies in subgraphs gets names that the whole model has only once.

ONNX lets the branches of an If use the same names, and two decoders that were merged into one file do. Here names
tell what calibration saw of which tensor, and reports name nodes.
"""

from __future__ import annotations

import itertools
from collections import Counter

import onnx_ir as ir


def make_names_unique(model: ir.Model) -> None:
    """Put the name of the subgraph before names of its nodes and their outputs that `model` has more than once."""
    nodes = list(model.graph.all_nodes())
    values = [value for node in nodes for value in node.outputs]
    outer = [name for graph in model.graphs() for name in (*graph.initializers, *(v.name for v in graph.inputs))]
    names_of_nodes, names_of_values = Counter(node.name for node in nodes), Counter(value.name for value in values)
    names_of_values.update(outer)
    for node in nodes:
        if node.graph is not model.graph:
            _rename(node, node.graph, names_of_nodes)
            for value in node.outputs:
                _rename(value, node.graph, names_of_values)


def _rename(named: ir.Node | ir.Value, graph: ir.Graph | ir.Function | None, names: Counter[str | None]) -> None:
    """Rename `named`, which lies in `graph`, if `names` counts its name more than once."""
    if not named.name or names[named.name] == 1 or graph is None:
        return
    prefixed = f"{graph.name}/{named.name.lstrip('/')}"
    candidates = itertools.chain([prefixed], (f"{prefixed}_{i}" for i in itertools.count(1)))
    named.name = next(candidate for candidate in candidates if candidate not in names)
    names[named.name] += 1

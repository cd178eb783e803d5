# SPDX-License-Identifier: Apache-2.0
"""Unique names of nodes and values in a model, subgraphs included.

In ONNX a name is unique within a graph and the graphs around it, but both branches of an If may use the same name, as
in merged decoders. Here calibration statistics and reports refer to tensors and nodes by name, so names have to be
unique over all subgraphs.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

import onnx_ir as ir


class UniqueNames:
    """A set of used names, from which unused names are derived.

    Args:
        taken: names that are in use; None, the name of what has none, is ignored.
    """

    def __init__(self, taken: Iterable[str | None]) -> None:
        self._taken = set(taken)

    @classmethod
    def of(cls, *models: ir.Model) -> UniqueNames:
        """Those of the nodes and values of `models`, subgraphs included; a function has names of its own."""
        return cls(name for model in models for graph in model.graphs() for name in _names_in(graph))

    def unused(self, name: str) -> str:
        """`name`, or where it is taken the first of `name_1`, `name_2`, ... that is not; it is not taken by this."""
        candidates = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(1)))
        return next(candidate for candidate in candidates if candidate not in self._taken)

    def take(self, name: str) -> str:
        """`name`, or where it is taken the first of `name_1`, `name_2`, ... that is not; it is taken from now on."""
        unused = self.unused(name)
        self._taken.add(unused)
        return unused


def make_names_unique(model: ir.Model) -> None:
    """Put the name of the subgraph before names of its nodes and their outputs that `model` has more than once.

    `onnx_ir.passes.common.NameFixPass` does not do it: it lets sibling branches share names of values, and names of
    nodes differ within a graph only.
    """
    nodes = list(model.graph.all_nodes())
    outer = [name for graph in model.graphs() for name in (*graph.initializers, *(v.name for v in graph.inputs))]
    _prefix_repeated([(node, node) for node in nodes], (), model.graph)
    _prefix_repeated([(value, node) for node in nodes for value in node.outputs], outer, model.graph)


def _prefix_repeated(
    named: Iterable[tuple[ir.Node | ir.Value, ir.Node]], others: Iterable[str | None], main: ir.Graph
) -> None:
    """Prefix the names that occur more than once in `named` and `others`, outside the graph `main`.

    Args:
        named: Nodes, or values with the nodes that compute them.
        others: Names of what is not renamed.
        main: The graph whose names stay.
    """
    named = list(named)
    count = Counter(thing.name for thing, _ in named)
    count.update(others)
    names = UniqueNames(count)
    for thing, node in named:
        if thing.name and count[thing.name] > 1 and node.graph is not None and node.graph is not main:
            thing.name = names.take(f"{node.graph.name}/{thing.name.lstrip('/')}")


def _names_in(graph: ir.Graph) -> Iterator[str | None]:
    """Names of the nodes and values of `graph` itself."""
    yield from graph.initializers
    yield from (value.name for value in graph.inputs)
    for node in graph:
        yield node.name
        yield from (value.name for value in node.outputs)

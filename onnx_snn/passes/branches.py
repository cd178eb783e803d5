# SPDX-License-Identifier: Apache-2.0
"""Branches: which branches of If nodes the calibration data takes.

Of a decoder that is two in one, with and without a cache, a run shows one; what lies in the other is seen in the runs
that take it. A *course* is a set of branches that run together, and the first feed that takes it stands for it where
one feed would do for a network without branches.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from onnx_snn.data import Feed, Feeds
from onnx_snn.observer import Observer
from onnx_snn.rules.rule import name_of
from onnx_snn.rules.site import Site
from onnx_snn.subgraphs import Place, Places, around, graph_of, places

Course = frozenset[ir.Graph]


def courses(model: ir.Model, sites: Iterable[Site], feeds: Feeds) -> dict[Course, Feed]:
    """The first feed of each course, as far as branches with `sites` tell courses apart; at least one.

    Raises:
        CalibrationError: the model fails on the data.
        ModelError: onnxruntime does not accept the model.
    """
    known = places(model)
    inner = {graph_of(site.nodes[-1]) for site in sites} & known.keys()
    if not inner:
        return {frozenset(): feeds.first()}
    choice = _Choice(model, inner, known)
    first: dict[Course, Feed] = {}
    for feed in feeds:
        first.setdefault(choice(feed), feed)
    return first


def running(sites: Iterable[Site], course: Course, main: ir.Graph) -> list[Site]:
    """Those of `sites` that run in `course`: in branches that it takes, or in the main graph."""
    return [site for site in sites if (graph := graph_of(site.nodes[-1])) is main or graph in course]


def untaken(sites: Iterable[Site], taken: Iterable[Course], model: ir.Model) -> dict[Site, str]:
    """Reasons to refuse `sites` that run in none of the courses `taken`."""
    known, run = places(model), frozenset[ir.Graph]().union(*taken)
    return {
        site: f"lies in {place.attribute} of the node {name_of(place.node)!r}, which no calibration sample takes"
        for site in sites
        if (graph := graph_of(site.nodes[-1])) not in run and (place := known.get(graph)) is not None
    }


class _Choice:
    """Tells which of some branches run, by the conditions of the If nodes around them."""

    def __init__(self, model: ir.Model, graphs: Iterable[ir.Graph], known: Places) -> None:
        self._around = {graph: list(around(graph, known)) for graph in graphs}
        conditions = {_condition(place.node): None for found in self._around.values() for place in found}
        self._observer = Observer(model, list(conditions))

    def __call__(self, feed: Feed) -> Course:
        """The branches that run on `feed`."""
        conditions = self._observer(feed)

        def taken(place: Place) -> bool:
            condition = conditions[_condition(place.node)]
            # That of an If that does not run is empty.
            return condition.size > 0 and place.attribute == ("then_branch" if condition.item() else "else_branch")

        return frozenset(graph for graph, found in self._around.items() if all(map(taken, found)))


def _condition(node: ir.Node) -> str:
    """Name of the condition of an If."""
    (condition,) = node.inputs
    assert condition is not None, "an If has a condition"
    return condition.name or ""

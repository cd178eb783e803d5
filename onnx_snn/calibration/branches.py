# SPDX-License-Identifier: Apache-2.0
"""Branches of If nodes that the calibration data takes.

In a merged decoder, with and without a cache, one run executes one of the two branches, so each branch is observed only
in the runs that take it. An *execution path* is a set of branches that run together. Where a single feed suffices for a
network without branches, one feed per execution path is used: the first that takes it.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from onnx_snn.data.feeds import Feeds
from onnx_snn.data.specs import Feed
from onnx_snn.graph.subgraphs import BRANCHES, Place, Places, around, graph_of, places
from onnx_snn.rules.rule import name_of
from onnx_snn.rules.site import Site
from onnx_snn.runtime.tap_session import Observer

Branch = tuple[str, str]
"""Key of a branch: name of the first output of its If, and name of the attribute; the same in copies of the model."""

ExecutionPath = frozenset[Branch]
"""Branches that run together in one run of the model."""


def execution_paths(model: ir.Model, sites: Iterable[Site], feeds: Feeds) -> dict[ExecutionPath, Feed]:
    """The first feed of each execution path; paths are distinguished by the branches that hold `sites`. At least one.

    Raises:
        CalibrationError: the model fails on the data.
        ModelError: onnxruntime does not accept the model.
    """
    known = places(model)
    inner = [place for site in sites if (place := _branch_around(site, known)) is not None]
    if not inner:
        return {frozenset(): feeds.first()}
    choice = _Choice(model, inner, known)
    first: dict[ExecutionPath, Feed] = {}
    for feed in feeds:
        first.setdefault(choice(feed), feed)
    return first


def running(sites: Iterable[Site], path: ExecutionPath, model: ir.Model) -> list[Site]:
    """The sites that run on `path`: sites in branches that it takes, and sites outside of branches."""
    known = places(model)
    placed = ((site, _branch_around(site, known)) for site in sites)
    return [site for site, place in placed if place is None or _branch(place) in path]


def untaken(sites: Iterable[Site], taken: Iterable[ExecutionPath], model: ir.Model) -> dict[Site, str]:
    """Reasons to refuse `sites` that run on none of the paths `taken`."""
    known, run = places(model), frozenset[Branch]().union(*taken)
    return {
        site: f"lies in {place.attribute} of the node {name_of(place.node)!r}, which no calibration sample takes"
        for site in sites
        if (place := _branch_around(site, known)) is not None and _branch(place) not in run
    }


def _branch_around(site: Site, known: Places) -> Place | None:
    """The place of the innermost branch around `site`; None where there is none."""
    return next((place for place in around(graph_of(site.node), known) if place.attribute in BRANCHES), None)


def _branch(place: Place) -> Branch:
    return place.node.outputs[0].name or "", place.attribute


class _Choice:
    """Tells which of some branches run, by the conditions of the If nodes around them."""

    def __init__(self, model: ir.Model, branches: Iterable[Place], known: Places) -> None:
        # A branch within a body holds no site (`closed_around`), but a body within a branch may.
        self._around = {_branch(place): [place, *around(place.graph, known)] for place in branches}
        conditions = {_condition(place.node): None for found in self._around.values() for place in found}
        self._observer = Observer(model, list(conditions))

    def __call__(self, feed: Feed) -> ExecutionPath:
        """The branches that run on `feed`."""
        conditions = self._observer(feed)

        def taken(place: Place) -> bool:
            condition = conditions[_condition(place.node)]
            # The condition of an If that does not run is empty.
            return condition.size > 0 and place.attribute == ("then_branch" if condition.item() else "else_branch")

        return frozenset(branch for branch, found in self._around.items() if all(map(taken, found)))


def _condition(node: ir.Node) -> str:
    """Name of the condition of an If."""
    (condition,) = node.inputs
    assert condition is not None, "an If has a condition"
    return condition.name or ""

# SPDX-License-Identifier: Apache-2.0
"""Rules: formulas that match subgraphs, and checks of conditions that a formula cannot express.

A check raises `NoMatch` with a reason for the user. Matching never edits the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypedDict

import onnx_ir as ir
from onnxscript.rewriter import pattern

from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.graph.propagated_shapes import Sizes, propagated_shapes
from onnx_snn.rules.notation import Formula, compile_formula
from onnx_snn.rules.site import FunctionSite, Site


class NoMatch(Exception):
    """A formula matches, but a condition is not met; the message is the reason."""


@dataclass(frozen=True)
class Refusal:
    """Nodes that match a formula of a rule but not its conditions.

    Attributes:
        nodes: the matched nodes.
        reason: which condition is not met.
    """

    nodes: tuple[ir.Node, ...]
    reason: str


@dataclass
class Scope:
    """The surroundings of a node that a rule may read.

    Attributes:
        model: the model.
        flow: classification of its values as activations and constants.
        sites: the sites found so far, by their output.
    """

    model: ir.Model
    flow: ActivationFlow
    sites: dict[ir.Value, Site] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """Version of the standard operators that the model imports."""
        return self.model.opset_imports.get("", 1)

    @cached_property
    def shapes(self) -> Mapping[str, Sizes]:
        """Shapes of the values of the main graph, as far as onnx infers them from the model and its constants."""
        return propagated_shapes(self.model)


class SiteFields(TypedDict):
    """Fields of sites of all kinds, see `Site`."""

    name: str
    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...]
    output: ir.Value
    rule: str


@dataclass(frozen=True)
class Match:
    """A subgraph that matches a formula.

    Attributes:
        rule: name of the rule.
        scope: surroundings of the nodes.
        nodes: the matched nodes, producers first.
        values: the matched value of each variable of the formula.
    """

    rule: str
    scope: Scope
    nodes: tuple[ir.Node, ...]
    values: Mapping[str, ir.Value]

    @property
    def root(self) -> ir.Node:
        """The last node."""
        return self.nodes[-1]

    @property
    def fields(self) -> SiteFields:
        """The fields that a site takes from its match, whatever its kind."""
        root = self.root
        return {
            "name": name_of(root),
            "nodes": self.nodes,
            "inputs": (self.values["x"],),
            "output": root.outputs[0],
            "rule": self.rule,
        }

    def all(self, op_type: str) -> list[ir.Node]:
        """The matched nodes of one operator."""
        return [node for node in self.nodes if node.op_type == op_type]


def computes(function: str | Callable[[Match], str]) -> Callable[[Match], FunctionSite]:
    """A constructor of function sites from matches, for use as `Rule.site`.

    Args:
        function: name in the function registry, or a function that determines it from the match.
    """

    def site(match: Match) -> FunctionSite:
        return FunctionSite(**match.fields, function=function if isinstance(function, str) else function(match))

    return site


@dataclass(frozen=True)
class Rule:
    """Formulas for one kind of site.

    Attributes:
        name: name of the rule.
        formulas: formulas to match; their first parameter after `op` is the activation `x`.
        site: function that builds the site of a match, or raises `NoMatch` where a condition is not met.
    """

    name: str
    formulas: tuple[Formula, ...]
    site: Callable[[Match], Site]

    @cached_property
    def _patterns(self) -> dict[str, list[pattern.Pattern]]:
        """The compiled formulas, by operator of their last node."""
        patterns: dict[str, list[pattern.Pattern]] = {}
        for formula in self.formulas:
            for root, compiled in compile_formula(formula):
                patterns.setdefault(root, []).append(compiled)
        return patterns

    def match(self, node: ir.Node, scope: Scope) -> Site | Refusal | None:
        """The site that ends at `node`, a refusal where a formula matches but a condition is not met, or None."""
        refusal = None
        for compiled in self._patterns.get(node.op_type, ()):
            # The matcher uses the graph only to stay inside it.
            graph = node.graph or scope.model.graph
            result = compiled.match(scope.model, graph, node, check_nodes_are_removable=False)
            if result and scope.flow.is_activation(result.bindings["x"]):
                match = Match(self.name, scope, _producers_first(result.nodes, node), result.bindings)
                try:
                    _require_private(match.nodes)
                    return self.site(match)
                except NoMatch as reason:
                    refusal = refusal or Refusal(match.nodes, str(reason))
        return refusal


def name_of(node: ir.Node) -> str:
    """Name of a node, or of its first output where it has none."""
    return node.name or node.outputs[0].name or node.op_type


def _producers_first(nodes: Collection[ir.Node], root: ir.Node) -> tuple[ir.Node, ...]:
    """The distinct `nodes`, each after its predecessors; `root` is the last one."""
    ordered: dict[ir.Node, None] = {}

    def visit(node: ir.Node) -> None:
        for predecessor in node.predecessors():
            if predecessor in nodes and predecessor not in ordered:
                visit(predecessor)
        ordered[node] = None

    visit(root)
    return tuple(ordered)


def _require_private(nodes: tuple[ir.Node, ...]) -> None:
    """Raise `NoMatch` where an inner value of the match has readers outside it."""
    for node in nodes:
        for value in node.outputs:
            if node is nodes[-1] and value.index() == 0:
                continue
            if value.is_graph_output() or any(user not in nodes for user in value.consumers()):
                raise NoMatch(f"its inner value {value.name!r} is also used outside the pattern")

# SPDX-License-Identifier: Apache-2.0
"""Recognition: which parts of a model can become spiking, and which nonlinear nodes cannot, and why.

    recognise(model).sites        places for spiking operators, in graph order
    recognise(model).unmatched    nonlinear nodes on an activation path that no rule claims, with the reason
    recognise(model).exact        nodes that select activations by comparison, with the reason
    recognise(model).classes      the class of every node that no rule claims

Rules are tried in the order of `RULES`, each over the whole model, so that a larger formula claims its
nodes before a smaller one can: GELU before Erf, Mish before Tanh. Nothing is edited.
Begin with `gelu`, a typical family of formulas. May import `runtime` and what that imports.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import onnx_ir as ir

from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.rules import (
    activation_matmul,
    elementwise,
    gated,
    gelu,
    moments,
    normalization,
    power,
    registered_function,
    softmax,
    weight_matmul,
)
from onnx_snn.rules.node_class import NodeClass
from onnx_snn.rules.rule import Refusal, Scope, name_of
from onnx_snn.rules.site import Kind, Site
from onnx_snn.rules.unmatched import classified

__all__ = ["RULES", "Kind", "Recognition", "Site", "recognise"]

logger = logging.getLogger(__name__)

FORMULAS = (
    *gelu.RULES,
    *gated.RULES,
    *normalization.RULES,
    *moments.RULES,
    *softmax.RULES,
    *elementwise.RULES,
    *power.RULES,
)
"""All rules that match a formula, larger formulas before smaller ones."""

RULES: tuple[Callable[[ir.Node, Scope], Site | Refusal | None], ...] = (
    *(rule.match for rule in FORMULAS),
    registered_function.match,
    activation_matmul.match,
    weight_matmul.match,
)
"""All rules, as functions of a node and its scope that return a site, a refusal or None. Earlier rules claim nodes
first."""


class Recognition(NamedTuple):
    """Result of `recognise`.

    Attributes:
        sites: the sites, in graph order.
        unmatched: the nonlinear nodes outside all sites, with the reason.
        exact: the nodes outside all sites that compare and select activations, with the reason.
        classes: the class of every node outside all sites.
    """

    sites: list[Site]
    unmatched: list[tuple[ir.Node, str]]
    exact: list[tuple[ir.Node, str]]
    classes: dict[ir.Node, NodeClass]


def recognise(model: ir.Model) -> Recognition:
    """Find every site of `model`, in its main graph and all subgraphs, without editing it."""
    scope = Scope(model, ActivationFlow(model))
    position = {node: index for index, node in enumerate(ir.traversal.RecursiveGraphIterator(model.graph))}
    claimed: set[ir.Node] = set()
    refused: dict[ir.Node, str] = {}
    for rule in RULES:
        for node in position:
            if node in claimed:
                continue
            found = rule(node, scope)
            if isinstance(found, Site) and claimed.isdisjoint(found.nodes):
                claimed.update(found.nodes)
                scope.sites[found.output] = found
                logger.debug("%s: %s by rule %s", found.name, found.kind.value, found.rule)
            elif isinstance(found, Refusal):
                for part in found.nodes:
                    refused.setdefault(part, found.reason)
    sites = sorted(scope.sites.values(), key=lambda site: position[site.node])
    others = {node: classified(node, scope.flow) for node in position if node not in claimed}
    classes = {node: of_node for node, (of_node, _) in others.items()}
    unmatched = [(node, refused.get(node, why)) for node, why in _of_class(NodeClass.REFUSED, others)]
    for node, why in unmatched:
        logger.debug("%s: kept, %s", name_of(node), why)
    return Recognition(sites, unmatched, _of_class(NodeClass.EXACT, others), classes)


def _of_class(wanted: NodeClass, classes: dict[ir.Node, tuple[NodeClass, str]]) -> list[tuple[ir.Node, str]]:
    """The nodes of one class, with the reason of each."""
    return [(node, why) for node, (of_node, why) in classes.items() if of_node is wanted]

# SPDX-License-Identifier: Apache-2.0
"""Recognition: which parts of a model can become spiking, and which nonlinear nodes cannot, and why.

    recognise(model).sites        places for spiking operators, in graph order
    recognise(model).unmatched    nonlinear nodes on an activation path that no rule claims, with the reason

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
    normalization,
    power,
    registered_function,
    softmax,
    weight_matmul,
)
from onnx_snn.rules.rule import Refusal, Scope, name_of
from onnx_snn.rules.site import Kind, Site
from onnx_snn.rules.unmatched import reason_to_keep

__all__ = ["RULES", "Kind", "Recognition", "Site", "recognise"]

logger = logging.getLogger(__name__)

FORMULAS = (*gelu.RULES, *gated.RULES, *normalization.RULES, *softmax.RULES, *elementwise.RULES, *power.RULES)
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
    """

    sites: list[Site]
    unmatched: list[tuple[ir.Node, str]]


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
    return Recognition(sites, _unmatched([node for node in position if node not in claimed], refused, scope))


def _unmatched(nodes: list[ir.Node], refused: dict[ir.Node, str], scope: Scope) -> list[tuple[ir.Node, str]]:
    """The nonlinear nodes among `nodes` with the reason why each is in no site; `refused` has reasons of rules."""
    unmatched = []
    for node in nodes:
        reason = reason_to_keep(node, scope.flow)
        if reason is not None:
            unmatched.append((node, refused.get(node, reason)))
            logger.debug("%s: kept, %s", name_of(node), unmatched[-1][1])
    return unmatched

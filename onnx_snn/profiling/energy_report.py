# SPDX-License-Identifier: Apache-2.0
"""Estimated energy of both networks by every rule, as a whole and by node."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from onnx_snn.profiling.energy import RULES, EnergyCosts, EnergyRule, NodeWork, Work


@dataclass(frozen=True)
class EnergyFigure:
    """Energy of both networks by one rule, in picojoules.

    Attributes:
        rule: the rule.
        original: energy of the original network.
        spiking: energy of the spiking network.
    """

    rule: EnergyRule
    original: float
    spiking: float

    @property
    def ratio(self) -> float:
        """Energy of the spiking network divided by that of the original; NaN if the original's is 0."""
        return self.spiking / self.original if self.original else float("nan")

    def to_json(self) -> dict[str, Any]:
        """The figure as JSON values, with its rule."""
        return {
            **dataclasses.asdict(self.rule),
            "original_pj": self.original,
            "spiking_pj": self.spiking,
            "ratio": self.ratio if self.original else None,
        }


@dataclass(frozen=True)
class EnergyReport:
    """Operations of every node, and the cost of each operation.

    Attributes:
        nodes: operations of each counted node, over all data.
        costs: picojoules of each operation.
    """

    nodes: tuple[NodeWork, ...]
    costs: EnergyCosts = field(default_factory=EnergyCosts)

    def figures(self, nodes: Iterable[NodeWork] | None = None) -> tuple[EnergyFigure, ...]:
        """Energy of `nodes` by each rule, over all data; of the whole network by default."""
        chosen = self.nodes if nodes is None else tuple(nodes)
        original = sum((node.original for node in chosen), Work())
        spiking = sum((node.spiking for node in chosen), Work())
        return tuple(
            EnergyFigure(rule, rule.energy(original, self.costs), rule.energy(spiking, self.costs)) for rule in RULES
        )

    def with_costs(self, costs: EnergyCosts) -> EnergyReport:
        """The same operations with other costs."""
        return EnergyReport(self.nodes, costs)

    def to_json(self) -> dict[str, Any]:
        """Figures, costs and the operations of every node as JSON values."""
        return {
            "costs_pj": dataclasses.asdict(self.costs),
            "network": [figure.to_json() for figure in self.figures()],
            "nodes": [
                {
                    **dataclasses.asdict(node),
                    "energy_pj": {
                        figure.rule.name: {"original": figure.original, "spiking": figure.spiking}
                        for figure in self.figures([node])
                    },
                }
                for node in self.nodes
            ],
        }

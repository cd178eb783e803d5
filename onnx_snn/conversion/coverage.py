# SPDX-License-Identifier: Apache-2.0
"""The coverage of a conversion: what becomes of every nonlinear node, and why."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.plan import Coding, SitePlan
from onnx_snn.conversion.report import ConversionReport, NodeReport, Status
from onnx_snn.conversion.verification import Comparison
from onnx_snn.decompositions.decomposer import origin_of
from onnx_snn.errors import ModelError
from onnx_snn.graph.subgraphs import body_around, graph_of, places
from onnx_snn.rules import Recognition
from onnx_snn.rules.rule import name_of
from onnx_snn.rules.site import Site


@dataclass
class Coverage:
    """What becomes of every nonlinear node while a conversion goes on."""

    source: str
    recognition: Recognition
    stay: dict[ir.Node, str] = field(default_factory=dict)
    """Nodes that could not be written out, and why."""
    held: list[NodeReport] = field(default_factory=list)
    """Functions and fused operators that stay in one piece, as nothing in them is converted."""
    decomposed: bool = False
    """Whether functions or fused operators were written out."""
    kept: dict[Site, str] = field(default_factory=dict)
    refused: dict[Site, str] = field(default_factory=dict)
    plans: list[SitePlan] = field(default_factory=list)
    outputs: dict[Site, str] = field(init=False)

    def __post_init__(self) -> None:
        # Rewriting moves an output's name to the spiking node, so names are read before.
        self.outputs = {site: site.output.name or "" for site in self.recognition.sites}
        sites, unmatched = self.recognition
        self.recognition = Recognition(sites, [(node, self.stay.get(node, why)) for node, why in unmatched])

    @property
    def wanted(self) -> list[Site]:
        """Sites that are to be converted."""
        return [site for site in self.recognition.sites if site not in self.kept and site not in self.refused]

    def wanted_origins(self) -> set[str]:
        """Names of the nodes that were written out and hold something to be converted."""
        return {origin for site in self.wanted for origin in _origins(site)}

    def with_held(self, held: set[str], recognition: Recognition, stay: dict[ir.Node, str]) -> Coverage:
        """The same decisions for a model in which the nodes named `held` are in one piece."""
        sites, unmatched = recognition
        outside = [(node, why) for node, why in unmatched if name_of(node) not in held]
        coverage = Coverage(self.source, Recognition(sites, outside), stay, self._held_reports(held, unmatched))
        decided = {self.outputs[site]: site for site in self.recognition.sites}
        for site in sites:
            before = decided.get(coverage.outputs[site])
            if before is None or before in self.kept:
                coverage.kept[site] = "stands beside what stays in one piece" if before is None else self.kept[before]
            elif before in self.refused:
                coverage.refused[site] = self.refused[before]
        return coverage

    def _held_reports(self, held: set[str], unmatched: list[tuple[ir.Node, str]]) -> list[NodeReport]:
        """A line for each held node in which something nonlinear stays; what could not be converted counts first."""
        inside = [(origin_of(node), f"holds {name_of(node)}: {why}") for node, why in self.recognition.unmatched]
        inside += [
            (origin, f"holds {site.name}: {why}") for site, why in self.refused.items() for origin in _origins(site)
        ]
        decisions = {origin: (Status.KEPT, why) for site, why in self.kept.items() for origin in _origins(site)}
        decisions |= {origin: (Status.REFUSED, why) for origin, why in reversed(inside) if origin}
        operators = {name_of(node): node.op_type for node, _ in unmatched}
        return [
            NodeReport(origin, operators.get(origin, ""), "", *decision)
            for origin, decision in decisions.items()
            if origin in held
        ]

    def refuse_bodies(self, model: ir.Model) -> None:
        """Refuse what lies in the body of a Loop or Scan, or in a branch inside one."""
        known = places(model)
        for site in self.wanted:
            place = body_around(graph_of(site.node), known)
            if place is not None:
                self.refused[site] = (
                    f"lies in the body of the {place.node.op_type} {name_of(place.node)!r}, which runs many times in a "
                    "run of the network, where calibration cannot observe it"
                )

    def check_any(self) -> None:
        """Converting nothing is an error, not a loss of nothing."""
        if not self.wanted:
            lines = self._refusals() or ["it holds no nonlinear operator and no product of activations"]
            raise ModelError(f"{self.source}: nothing can be converted: " + "; ".join(lines))

    def check_complete(self) -> None:
        """With `strict`, a refused node is an error."""
        held = any(node.status is Status.REFUSED for node in self.held)
        if self.refused or self.recognition.unmatched or held:
            raise ModelError(f"{self.source}: strict, but not converted: " + "; ".join(self._refusals()))

    def _refusals(self) -> list[str]:
        unmatched = [f"{name_of(node)}: {reason}" for node, reason in self.recognition.unmatched]
        unmatched += [f"{node.name}: {node.reason}" for node in self.held]
        return [f"{site.name}: {reason}" for site, reason in (self.kept | self.refused).items()] + unmatched

    def report(
        self,
        output: str | None,
        config: ConvertConfig,
        seconds: dict[str, float],
        comparison: Comparison | None = None,
        samples: int = 0,
    ) -> ConversionReport:
        """The report: a line for each site, in graph order, and for each node that no rule knows."""
        comparison = comparison or Comparison()
        plans = {plan.site: plan for plan in self.plans}
        shared: set[Coding] = set()
        nodes = [
            _converted(plans[site], comparison.sqnr_db.get(self.outputs[site]), shared)
            if site in plans
            else NodeReport(site.name, site.kind.value, site.function_name, *self._decision(site))
            for site in self.recognition.sites
        ]
        nodes += [
            NodeReport(name_of(node), node.op_type, "", Status.REFUSED, reason)
            for node, reason in self.recognition.unmatched
        ]
        nodes += self.held
        return ConversionReport(self.source, output, config, tuple(nodes), tuple(comparison.outputs), samples, seconds)

    def _decision(self, site: Site) -> tuple[Status, str]:
        if site in self.kept:
            return Status.KEPT, self.kept[site]
        return Status.REFUSED, self.refused[site]


def _origins(site: Site) -> set[str]:
    """Names of the nodes that the nodes of `site` were written for."""
    return {origin for node in site.nodes if (origin := origin_of(node))}


def _converted(plan: SitePlan, sqnr_db: float | None, shared: set[Coding]) -> NodeReport:
    """The line of a converted site; codes of operands among `shared` were counted before, new ones are added to it."""
    own = [coding for role, coding in plan.neurons.items() if role.operand is None]
    new = {coding for role, coding in plan.neurons.items() if role.operand is not None} - shared
    shared |= new
    neurons = [coding.neuron for coding in (*own, *new)]
    return NodeReport(
        name=plan.site.name,
        kind=plan.site.kind.value,
        function=plan.site.function_name,
        sqnr_db=sqnr_db,
        spikes={role.value: coding.spikes for role, coding in plan.neurons.items()},
        slots=sum(neuron.slots for neuron in neurons),
        parameters=sum(neuron.parameters for neuron in neurons),
    )

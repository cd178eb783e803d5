# SPDX-License-Identifier: Apache-2.0
"""The coverage of a conversion: what becomes of every nonlinear node, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import onnx_ir as ir

from onnx_snn.allocation.plan import Coding, SitePlan
from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.report import ConversionReport, NodeReport, Status
from onnx_snn.conversion.verification import Comparison
from onnx_snn.decompositions.decomposer import origin_of
from onnx_snn.decompositions.type_inference import CAST_TYPES
from onnx_snn.errors import ModelError
from onnx_snn.graph.subgraphs import closed_around, graph_of, graphs_in, places, why_closed
from onnx_snn.profiling.gain import Gain
from onnx_snn.rules import Recognition
from onnx_snn.rules.node_class import NodeClass
from onnx_snn.rules.rule import name_of
from onnx_snn.rules.site import Site


@dataclass
class Coverage:
    """The state of every nonlinear node during a conversion.

    Attributes:
        source: name of the network in messages.
        recognition: its sites, and the nonlinear nodes that no rule matches with the reason.
        undecomposed: functions and fused operators that cannot be decomposed, with the reason.
        intact: report lines of functions and fused operators left in one piece, as nothing in them is converted.
        decomposed: whether any function or fused operator was decomposed.
        kept: sites that the user's options exclude, with the reason.
        refused: sites that cannot be converted, with the reason.
        plans: the neurons of the converted sites.
        outputs: name of the output of each site in the original network.
    """

    source: str
    recognition: Recognition
    undecomposed: dict[ir.Node, str] = field(default_factory=dict)
    intact: list[NodeReport] = field(default_factory=list)
    decomposed: bool = False
    kept: dict[Site, str] = field(default_factory=dict)
    refused: dict[Site, str] = field(default_factory=dict)
    plans: list[SitePlan] = field(default_factory=list)
    outputs: dict[Site, str] = field(init=False)

    def __post_init__(self) -> None:
        # Rewriting gives the name of an output to the spiking node, so names are recorded before.
        self.outputs = {site: site.output.name or "" for site in self.recognition.sites}
        unmatched = [(node, self.undecomposed.get(node, why)) for node, why in self.recognition.unmatched]
        self.recognition = self.recognition._replace(unmatched=unmatched)

    @property
    def selected(self) -> list[Site]:
        """Sites to convert: neither kept by the user nor refused so far."""
        return [site for site in self.recognition.sites if site not in self.kept and site not in self.refused]

    def selected_origins(self) -> set[str]:
        """Names of the decomposed nodes that hold a site to convert."""
        return {origin for site in self.selected for origin in _origins(site)}

    def with_intact(self, intact: set[str], recognition: Recognition, undecomposed: dict[ir.Node, str]) -> Coverage:
        """The same decisions for a model in which the nodes named `intact` are left in one piece."""
        open_bodies = {name_of(node) for node in recognition.classes if any(graphs_in(node))}
        reports = self._intact_reports(intact - open_bodies, recognition.unmatched)
        becomes = {report.name: NodeClass(report.status.value) for report in reports}
        classes = {
            node: becomes.get(name_of(node), NodeClass.LINEAR)
            if of_node is NodeClass.REFUSED and name_of(node) in intact
            else of_node
            for node, of_node in recognition.classes.items()
        }
        outside = [(node, why) for node, why in recognition.unmatched if name_of(node) not in intact]
        found = recognition._replace(unmatched=outside, classes=classes)
        coverage = Coverage(self.source, found, undecomposed, reports)
        earlier = {self.outputs[site]: site for site in self.recognition.sites}
        for site in found.sites:
            before = earlier.get(coverage.outputs[site])
            if before is None or before in self.kept:
                reason = "a pattern only beside functions and fused operators that are left in one piece"
                coverage.kept[site] = reason if before is None else self.kept[before]
            elif before in self.refused:
                coverage.refused[site] = self.refused[before]
        return coverage

    def _intact_reports(self, intact: set[str], unmatched: list[tuple[ir.Node, str]]) -> list[NodeReport]:
        """A line for each intact node that holds something nonlinear; a refusal takes precedence over a choice."""
        failures = [(origin_of(node), f"holds {name_of(node)}: {why}") for node, why in self.recognition.unmatched]
        failures += [
            (origin, f"holds {site.name}: {why}") for site, why in self.refused.items() for origin in _origins(site)
        ]
        decisions = {origin: (Status.KEPT, why) for site, why in self.kept.items() for origin in _origins(site)}
        decisions |= {origin: (Status.REFUSED, why) for origin, why in reversed(failures) if origin}
        operators = {name_of(node): node.op_type for node, _ in unmatched}
        return [
            NodeReport(origin, operators.get(origin, ""), "", *decision)
            for origin, decision in decisions.items()
            if origin in intact
        ]

    def refuse_bodies(self, model: ir.Model) -> None:
        """Refuse the sites in the body of a Scan, or in a branch within the body of a Loop."""
        known = places(model)
        for site in self.selected:
            place = closed_around(graph_of(site.node), known)
            if place is not None:
                self.refused[site] = why_closed(place)

    def check_any(self) -> None:
        """Require that something is left to convert.

        Raises:
            ModelError: every site is kept or refused; it gives the reasons.
        """
        if not self.selected:
            exact = [f"{name_of(node)}: {reason}" for node, reason in self.recognition.exact]
            lines = [*self._refusals(), *exact] or ["it has no nonlinear operator and no matmul of two activations"]
            raise ModelError(f"{self.source}: nothing can be converted: " + "; ".join(lines))

    def check_complete(self) -> None:
        """Require, for the option `strict`, that nothing is refused; what is exact without a neuron may be kept.

        Raises:
            ModelError: a node cannot be converted; it gives the reasons.
        """
        intact = any(node.status is Status.REFUSED for node in self.intact)
        if self.refused or self.recognition.unmatched or intact:
            raise ModelError(f"{self.source}: strict, but not converted: " + "; ".join(self._refusals()))

    def _refusals(self) -> list[str]:
        """Name and reason of every nonlinear node that is not converted."""
        unmatched = [f"{name_of(node)}: {reason}" for node, reason in self.recognition.unmatched]
        unmatched += [f"{node.name}: {node.reason}" for node in self.intact]
        return [f"{site.name}: {reason}" for site, reason in (self.kept | self.refused).items()] + unmatched

    def report(
        self,
        output: str | None,
        config: ConvertConfig,
        seconds: dict[str, float],
        comparison: Comparison | None = None,
        samples: int = 0,
        error: float | None = None,
        gain: Gain | None = None,
    ) -> ConversionReport:
        """The report: a line for each site in graph order, then for each node that no rule matches.

        Args:
            output: file that was written; None for a dry run.
            config: options in force.
            seconds: time of each stage.
            comparison: error against the original; None for a dry run.
            samples: number of calibration samples.
            error: error at the output for which neurons were chosen, if they were.
            gain: spikes and energy; None for a dry run.
        """
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
        nodes += [
            NodeReport(name_of(node), node.op_type, "", Status.EXACT, reason) for node, reason in self.recognition.exact
        ]
        nodes += self.intact
        outputs = tuple(comparison.outputs)
        classes = {of_node.value: count for of_node, count in self.classes().items()}
        return ConversionReport(
            self.source, output, config, tuple(nodes), outputs, samples, seconds, error, gain, classes
        )

    def classes(self) -> dict[NodeClass, int]:
        """The number of nodes of each class; every node of the network, subgraphs included, is in one."""
        counts = Counter(self.recognition.classes.values())
        for site in self.recognition.sites:
            of_site = NodeClass.CONVERTED
            if site in self.kept or site in self.refused:
                of_site = NodeClass(self._decision(site)[0].value)
            counts[of_site] += len(site.nodes)
        return {of_node: counts[of_node] for of_node in NodeClass}

    def _decision(self, site: Site) -> tuple[Status, str]:
        if site in self.kept:
            return Status.KEPT, self.kept[site]
        return Status.REFUSED, self.refused[site]


def _origins(site: Site) -> set[str]:
    """Names of the original nodes from whose decomposition the nodes of `site` come."""
    return {origin for node in site.nodes if (origin := origin_of(node))}


def _converted(plan: SitePlan, sqnr_db: float | None, shared: set[Coding]) -> NodeReport:
    """The line of a converted site.

    Slots and parameters of operand codes in `shared` belong to an earlier line; further codes are added to `shared`.
    """
    own = [coding for role, coding in plan.neurons.items() if role.operand is None]
    new = {coding for role, coding in plan.neurons.items() if role.operand is not None} - shared
    shared |= new
    neurons, codes = [coding.neuron for coding in (*own, *new)], list(plan.neurons.items())
    return NodeReport(
        name=plan.site.name,
        kind=plan.site.kind.value,
        function=plan.site.function_name,
        sqnr_db=sqnr_db,
        spikes={role.value: coding.spikes for role, coding in plan.neurons.items()},
        least_spikes={role.value: least for role, coding in codes if (least := coding.least_spikes) is not None},
        least_bits={role.value: least for role, coding in codes if (least := coding.least_bits) is not None},
        slots=sum(neuron.slots for neuron in neurons),
        parameters=sum(neuron.parameters for neuron in neurons),
        cast_from=_cast_from(plan.site),
    )


def _cast_from(site: Site) -> str:
    """Element type of the inputs of a converted site where that is not float32."""
    dtype = site.inputs[0].dtype
    return str(dtype.numpy()) if dtype in CAST_TYPES and dtype is not None else ""

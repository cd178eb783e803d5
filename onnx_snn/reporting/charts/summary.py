# SPDX-License-Identifier: Apache-2.0
"""Texts and tables of the page: key figures, the list of nodes, converted files and rules of energy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from onnx_snn.evaluation.evaluation import Evaluation
from onnx_snn.metadata import IDENTITY
from onnx_snn.profiling.energy_report import EnergyFigure
from onnx_snn.reporting.charts import families, losses
from onnx_snn.reporting.charts.chart import PAPER, colour_at
from onnx_snn.reporting.charts.energy import joules
from onnx_snn.reporting.views import Candidate, NodeView, Survey

BAR_DB = 70.0
"""SQNR in decibels at which the bar of a node in the list has its full width."""

READERS = 2
"""Largest number of readers that the list names for a node."""


class Row(NamedTuple):
    """One line of the list of nodes, as the template shows it."""

    number: int
    neuron: int
    name: str
    family: str
    source: str
    readers: str
    own: str
    colour: str
    width: float
    accumulated: str
    spikes: str
    outside: str


class Fact(NamedTuple):
    """One of the figures at the top."""

    figure: str
    meaning: str


def rows(survey: Survey) -> Iterator[Row]:
    """The list of nodes."""
    first = 0
    for number, node in enumerate(survey.nodes, 1):
        yield _row(number, first, node)
        first += len(node.neurons)


def _row(number: int, first: int, node: NodeView) -> Row:
    own = families.decibels(node.own)
    known = not math.isnan(own)
    outside = [view.activity.out_of_range_share for view in node.neurons]
    largest = max((share for share in outside if share is not None), default=None)
    return Row(
        number,
        first,
        node.name,
        families.family_of(node),
        "" if node.source in (IDENTITY, families.family_of(node)) else node.source,
        _some(node.readers),
        _decibels(own),
        colour_at(families.SQNR_COLOURS, own) if known else PAPER,
        min(max(own, 0.0) / BAR_DB, 1.0) * 100.0 if known else 0.0,
        _decibels(families.decibels(node.accumulated)),
        " + ".join(f"{view.activity.spikes_per_element:.2f}" for view in node.neurons),
        "unknown" if largest is None else _percent(largest),
    )


def _score(evaluation: Evaluation, score: float) -> str:
    return _percent(score) if losses.in_percent(evaluation.metric) else f"{score:.3f}"


def _percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f} %"


def _some(names: Sequence[str]) -> str:
    """The first of `names`, and how many more there are."""
    more = f" and {len(names) - READERS} more" if len(names) > READERS else ""
    return ", ".join(names[:READERS]) + more


def _decibels(value: float) -> str:
    if math.isnan(value):
        return "unknown"
    return "exact" if value >= families.EXACT_DB else f"{value:.1f}"


def facts(survey: Survey) -> Iterator[Fact]:
    """The key figures at the top of the page, each with its meaning."""
    spiking = survey.spiking
    yield from _losses(spiking.evaluation)
    yield Fact(str(spiking.timesteps), "time steps")
    elements = sum(view.activity.elements for view in survey.neurons)
    spikes = sum(view.activity.total for view in survey.neurons)
    yield Fact(f"{spikes / max(elements, 1):.2f}", f"spikes per element, {spiking.spikes * 1e-6:,.2f} million a sample")
    ratios = [figure.ratio for figure in spiking.profile.energy.figures() if not math.isnan(figure.ratio)]
    if ratios:
        yield Fact(
            f"{100 * min(ratios):.0f}–{100 * max(ratios):.0f} %",
            "of the original's estimated energy, depending on the rule of counting (below)",
        )


def _losses(evaluation: Evaluation) -> Iterator[Fact]:
    if evaluation.metric:
        spiking, original = (_score(evaluation, score) for score in (evaluation.spiking, evaluation.original))
        yield Fact(spiking, f"{evaluation.metric}; the original network has {original}")
    if not math.isnan(evaluation.agreement):
        yield Fact(_percent(evaluation.agreement), "of the predictions equal the original network's")
    yield Fact(_percent(evaluation.relative_error), f"relative error of output {evaluation.output!r}")


def file(candidate: Candidate) -> dict[str, str]:
    """A converted file with its time steps, spikes and loss, as texts for the template."""
    evaluation = candidate.evaluation
    return {
        "name": candidate.name,
        "timesteps": str(candidate.timesteps),
        "spikes": f"{candidate.spikes * 1e-6:,.3f}",
        "error": _percent(evaluation.relative_error, 3),
        "metric": _score(evaluation, evaluation.spiking),
    }


def rule(figure: EnergyFigure, survey: Survey) -> dict[str, str]:
    """A rule of counting and its energies of one sample, as texts for the template."""
    samples = survey.spiking.profile.samples
    original, spiking = (joules(energy / samples) for energy in (figure.original, figure.spiking))
    return {
        "name": figure.rule.name,
        "formula": figure.rule.formula,
        "source": figure.rule.source,
        "original": original,
        "spiking": spiking,
        "ratio": "" if math.isnan(figure.ratio) else _percent(figure.ratio, 0),
    }

# SPDX-License-Identifier: Apache-2.0
"""The report: one HTML file with all charts, the list of nodes and plotly.js, which fetches nothing.

Names come from models that anybody may have made. The template escapes them, the data for the script is JSON in which
no tag can begin, and a content security policy forbids the page to load anything at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from onnx_snn.charts import image, interactive, neuron, overview
from onnx_snn.charts.chart import Chart, colour_at
from onnx_snn.charts.required import required
from onnx_snn.energy import EnergyFigure
from onnx_snn.errors import ConfigError, OutputError
from onnx_snn.evaluate import Evaluation
from onnx_snn.io import check_output, staged
from onnx_snn.survey import Candidate, NeuronView, NodeView, Survey
from onnx_snn.version import __version__

BAR_DB = 70.0
"""Signal to error at which the bar of a node in the list is full."""


READERS = 2
"""Readers of a node that the list names."""


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


def check_reports(html: str | Path | None, png: str | Path | None, sources: Iterable[str | Path]) -> None:
    """See to it, before any work is done, that reports can be drawn and written.

    Args:
        html: file of the page; None for no page.
        png: folder of the pictures; None for no pictures.
        sources: files that are read, and so must not be written.

    Raises:
        ConfigError: neither is asked for, or a library that draws is not installed.
        OutputError: a file cannot be written, or is one that is read.
    """
    if html is None and png is None:
        raise ConfigError("a report goes to a page, to pictures or both: give --html FILE, --png FOLDER or both")
    if html is not None:
        required("jinja2")
        required("plotly.offline")
        for source in sources:
            check_output(html, source)
    if png is not None:
        required("matplotlib")
        image.check_folder(png)


def write_html(survey: Survey, path: str | Path) -> None:
    """Write the report of `survey` as one HTML file that works without a network, also from a disk.

    Raises:
        ConfigError: plotly or Jinja2 is not installed.
        OutputError: the file cannot be written.
    """
    content = page(survey)
    path = Path(path)
    try:
        with staged(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write report '{path}': {error}") from error


def write_images(survey: Survey, folder: str | Path) -> list[Path]:
    """Write the charts of `survey` as PNG files; of the neurons the worst of each kind.

    Returns:
        The files.

    Raises:
        ConfigError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    return image.write_charts([*overview.overview(survey).values(), *_neuron_charts(survey)], folder)


def page(survey: Survey) -> str:
    """The report of `survey` as HTML.

    Raises:
        ConfigError: plotly or Jinja2 is not installed.
    """
    jinja2, plotly = required("jinja2"), required("plotly.offline")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("onnx_snn.charts", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    charts = overview.overview(survey)
    figures = {key: interactive.figure(chart) for key, chart in charts.items()}
    neurons = [_neuron(view, survey.sample) for view in survey.neurons]
    rows = list(_rows(survey))
    curved = [view for view in survey.neurons if view.activity.source != "identity" and not view.activity.neuron]
    start = _worst_neuron(survey, curved or survey.neurons)
    return str(
        environment.get_template("report.html").render(
            survey=survey,
            name=Path(survey.spiking.name).name,
            version=__version__,
            facts=list(_facts(survey)),
            options=", ".join(f"{name} {value}" for name, value in survey.config.items() if value not in ([], None)),
            charts=charts,
            scale=overview.SQNR_COLOURS,
            rows=rows,
            names=[f"{i}: {view.activity.name} ({view.activity.kind})" for i, view in enumerate(survey.neurons, 1)],
            captions={chart.key: chart.caption for chart in (neuron.fit(start), neuron.raster(start, survey.sample))},
            rules=[_rule(figure, survey) for figure in survey.spiking.profile.energy.figures()],
            files=[_file(candidate) for candidate in survey.candidates],
            costs=survey.spiking.profile.energy.costs,
            data=_json({"charts": figures, "neurons": neurons, "start": survey.neurons.index(start)}),
            plotly=plotly.get_plotlyjs(),
        )
    )


def _neuron(view: NeuronView, sample: int) -> dict[str, Any]:
    """Figures and titles of one neuron for the script of the page."""
    charts = neuron.fit(view), neuron.raster(view, sample)
    return {
        "title": f"{view.activity.name} ({view.activity.kind})",
        **{chart.key: {"title": chart.title, **interactive.figure(chart)} for chart in charts},
    }


def _neuron_charts(survey: Survey) -> Iterator[Chart]:
    """Charts of the worst neuron of each kind."""
    kinds = dict.fromkeys(view.activity.kind for view in survey.neurons)
    for kind in kinds:
        view = _worst_neuron(survey, [view for view in survey.neurons if view.activity.kind == kind])
        for chart in (neuron.fit(view), neuron.raster(view, survey.sample)):
            slug = "-".join("".join(c if c.isalnum() else " " for c in kind).split())
            yield Chart(
                f"{chart.key}-{slug}",
                f"{view.activity.name} ({kind}): {chart.title}",
                chart.caption,
                chart.panels,
                chart.height,
                chart.linked,
            )


def _worst_neuron(survey: Survey, among: Sequence[NeuronView]) -> NeuronView:
    """A neuron of the node with the least signal to its own error."""
    owner = {view: node for node in survey.nodes for view in node.neurons}

    def quality(view: NeuronView) -> float:
        value = overview.decibels(owner[view].own)
        return math.inf if math.isnan(value) else value

    return min(among, key=quality)


def _rows(survey: Survey) -> Iterator[Row]:
    first = 0
    for number, node in enumerate(survey.nodes, 1):
        yield _row(number, first, node)
        first += len(node.neurons)


def _row(number: int, first: int, node: NodeView) -> Row:
    own = overview.decibels(node.own)
    known = not math.isnan(own)
    outside = [view.activity.out_of_range_share for view in node.neurons]
    largest = max((share for share in outside if share is not None), default=None)
    return Row(
        number,
        first,
        node.name,
        overview.family_of(node),
        "" if node.source in ("identity", overview.family_of(node)) else node.source,
        _some(node.readers),
        _decibels(own),
        colour_at(overview.SQNR_COLOURS, own) if known else "#ffffff",
        min(max(own, 0.0) / BAR_DB, 1.0) * 100.0 if known else 0.0,
        _decibels(overview.decibels(node.accumulated)),
        " + ".join(f"{view.activity.spikes_per_element:.2f}" for view in node.neurons),
        "unknown" if largest is None else _percent(largest),
    )


def _percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f} %"


def _some(names: Sequence[str]) -> str:
    """The first of `names`, and how many more there are."""
    more = f" and {len(names) - READERS} more" if len(names) > READERS else ""
    return ", ".join(names[:READERS]) + more


def _decibels(value: float) -> str:
    if math.isnan(value):
        return "unknown"
    return "exact" if value >= overview.EXACT_DB else f"{value:.1f}"


def _facts(survey: Survey) -> Iterator[Fact]:
    """The most important figures, each with what it means."""
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
            "of the original's energy, depending on the rule of counting (below)",
        )


def _losses(evaluation: Evaluation) -> Iterator[Fact]:
    if evaluation.metric == "accuracy":
        yield Fact(_percent(evaluation.spiking), f"accuracy; the original network has {_percent(evaluation.original)}")
    elif evaluation.metric:
        yield Fact(f"{evaluation.spiking:.3f}", f"{evaluation.metric}; the original has {evaluation.original:.3f}")
    if not math.isnan(evaluation.agreement):
        yield Fact(_percent(evaluation.agreement), "of its decisions are those of the original network")
    yield Fact(_percent(evaluation.relative_error), f"error of output {evaluation.output!r}, relative to its size")


def _file(candidate: Candidate) -> dict[str, str]:
    evaluation = candidate.evaluation
    accuracy = evaluation.metric == "accuracy"
    return {
        "name": candidate.name,
        "timesteps": str(candidate.timesteps),
        "spikes": f"{candidate.spikes * 1e-6:,.3f}",
        "error": _percent(evaluation.relative_error, 3),
        "metric": _percent(evaluation.spiking) if accuracy else f"{evaluation.spiking:.3f}",
    }


def _rule(figure: EnergyFigure, survey: Survey) -> dict[str, str]:
    samples = survey.spiking.profile.samples
    original, spiking = (overview.joules(energy / samples) for energy in (figure.original, figure.spiking))
    return {
        "name": figure.rule.name,
        "formula": figure.rule.formula,
        "source": figure.rule.source,
        "original": original,
        "spiking": spiking,
        "ratio": "" if math.isnan(figure.ratio) else _percent(figure.ratio, 0),
    }


def _json(values: dict[str, Any]) -> str:
    """JSON in which no tag, comment or entity can begin."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")

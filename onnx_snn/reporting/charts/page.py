# SPDX-License-Identifier: Apache-2.0
"""The report page: one self-contained HTML file with all charts, the list of nodes and plotly.js.

Names in a model are untrusted. The template escapes them, the data of the script is JSON in which no tag can begin, and
a content security policy forbids the page to load anything.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from onnx_snn.errors import ConfigError
from onnx_snn.metadata import IDENTITY
from onnx_snn.output_files import write_text
from onnx_snn.output_paths import check_outputs
from onnx_snn.profiling.uncounted import note
from onnx_snn.reporting.charts import families, image, interactive, neuron, overview, summary
from onnx_snn.reporting.charts.chart import Chart
from onnx_snn.reporting.charts.required import required
from onnx_snn.reporting.views import NeuronView, Survey
from onnx_snn.version import __version__

SLUG = 40
"""Largest length, in characters, of the part of a picture's file name that tells the kind of a neuron."""


def check_reports(html: str | Path | None, png: str | Path | None) -> None:
    """See to it, before any work is done, that reports can be drawn and written.

    Args:
        html: file of the page; None for no page.
        png: folder of the pictures; None for no pictures.

    Raises:
        ConfigError: neither is asked for, or a library that draws is not installed.
        OutputError: a file cannot be written.
    """
    if html is None and png is None:
        raise ConfigError("no output of the report is given: give --html FILE, --png FOLDER or both")
    if html is not None:
        required("jinja2")
        required("plotly.offline")
        check_outputs({"page": html})
    if png is not None:
        required("matplotlib")
        image.check_folder(png)


def write_html(survey: Survey, path: str | Path) -> None:
    """Write the report of `survey` as one HTML file that works without a network, also from a disk.

    Raises:
        ConfigError: plotly or Jinja2 is not installed.
        OutputError: the file cannot be written.
    """
    write_text(path, page(survey))


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
        loader=jinja2.PackageLoader("onnx_snn.reporting.charts", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    charts = overview.overview(survey)
    figures = {key: interactive.figure(chart) for key, chart in charts.items()}
    neurons = [_neuron(view, survey.sample) for view in survey.neurons]
    curved = [view for view in survey.neurons if view.activity.source != IDENTITY and not view.activity.neuron]
    start = _worst_neuron(survey, curved or survey.neurons)
    return str(
        environment.get_template("report.html").render(
            survey=survey,
            name=Path(survey.spiking.name).name,
            version=__version__,
            facts=list(summary.facts(survey)),
            options=_options(survey.config),
            charts=charts,
            scale=families.SQNR_COLOURS,
            rows=list(summary.rows(survey)),
            names=[f"{i}: {_title(view)}" for i, view in enumerate(survey.neurons, 1)],
            rules=[summary.rule(figure, survey) for figure in survey.spiking.profile.energy.figures()],
            files=[summary.file(candidate) for candidate in survey.candidates],
            costs=survey.spiking.profile.energy.costs,
            uncounted=note(survey.spiking.profile.uncounted),
            data=_json({"charts": figures, "neurons": neurons, "start": survey.neurons.index(start)}),
            plotly=plotly.get_plotlyjs(),
        )
    )


def _neuron(view: NeuronView, sample: int) -> dict[str, Any]:
    """Figures and titles of one neuron for the script of the page."""
    charts = neuron.fit(view), neuron.raster(view, sample)
    return {
        "title": _title(view),
        **{
            chart.key: {"title": chart.title, "caption": chart.caption, **interactive.figure(chart)} for chart in charts
        },
    }


def _options(config: Mapping[str, Any]) -> str:
    """The options of a conversion in words; of settings of single nodes only how many there are."""
    words = [f"{name} {value}" for name, value in config.items() if name != "nodes" and value not in ([], None)]
    nodes = config.get("nodes")
    return ", ".join([*words, *([f"settings of single neurons: {len(nodes)}"] if nodes else [])])


def _title(view: NeuronView) -> str:
    """Name of a neuron, with the function that it computes unless the name says so."""
    activity = view.activity
    return activity.name if activity.neuron else f"{activity.name} ({activity.kind})"


def _neuron_charts(survey: Survey) -> Iterator[Chart]:
    """Charts of the worst neuron of each kind."""
    for number, kind in enumerate(dict.fromkeys(view.activity.kind for view in survey.neurons), 1):
        view = _worst_neuron(survey, [view for view in survey.neurons if view.activity.kind == kind])
        slug = re.sub(r"[^a-z0-9.]+", "-", kind.lower()).strip("-.")[:SLUG]
        for chart in (neuron.fit(view), neuron.raster(view, survey.sample)):
            yield dataclasses.replace(
                chart,
                key=f"{chart.key}-{number}-{slug}",
                title=f"{_title(view)}: {chart.title}",
            )


def _worst_neuron(survey: Survey, among: Sequence[NeuronView]) -> NeuronView:
    """A neuron of the node with the least signal to its own error."""
    owner = {view: node for node in survey.nodes for view in node.neurons}

    def quality(view: NeuronView) -> float:
        value = families.decibels(owner[view].own)
        return math.inf if math.isnan(value) else value

    return min(among, key=quality)


def _json(values: dict[str, Any]) -> str:
    """JSON in which no tag, comment or entity can begin."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")

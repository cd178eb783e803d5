# SPDX-License-Identifier: Apache-2.0
"""Charts: they show the figures they claim to, both libraries take them, and names come out as they are."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import plotly.graph_objects
import pytest
from networks import tokens

import onnx_snn
from onnx_snn import OutputError, Survey, write_images
from onnx_snn.fitting.paper_neuron import fit_paper
from onnx_snn.neurons.functions import get
from onnx_snn.neurons.mbe import fired_slots, halving_neuron
from onnx_snn.reporting.charts import energy, errors, families, image, interactive, losses, neuron, overview, spiking
from onnx_snn.reporting.charts.chart import (
    BLUE,
    Axis,
    Band,
    Bars,
    Cells,
    Chart,
    Line,
    Panel,
    Points,
    Uprights,
    colour_at,
)

pytestmark = pytest.mark.slow

HOSTILE = "</b><a href='x'>$x_1$ & $"
"""Begins a tag of HTML, an entity and a formula."""
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """A Transformer at T=8 beside T=4, without labels."""
    folder = tmp_path_factory.mktemp("charts")
    onnx.save(networks.transformer(), folder / "model.onnx")
    files = [folder / f"snn{timesteps}.onnx" for timesteps in (8, 4)]
    for file, timesteps in zip(files, (8, 4), strict=True):
        onnx_snn.convert(
            folder / "model.onnx",
            file,
            tokens(16, seed=5),
            timesteps=timesteps,
            gate=timesteps == 8,
            fast=timesteps == 4,
            progress=False,
        )
    return onnx_snn.survey(folder / "model.onnx", files[0], tokens(8), also=files[1:], progress=False)


def all_charts(seen: Survey) -> list[Chart]:
    charts = list(overview.overview(seen).values())
    for view in seen.neurons:
        charts += [neuron.fit(view), neuron.raster(view, seen.sample)]
    return charts


def marks(chart: Chart, kind: type) -> list[Any]:
    return [mark for panel in chart.panels for mark in panel.marks if isinstance(mark, kind)]


def test_plotly_knows_all_that_it_is_told(seen: Survey) -> None:
    """Its Python package checks every property against the schema of plotly.js, which would ignore unknown ones."""
    for chart in all_charts(seen):
        figure = json.loads(json.dumps(interactive.figure(chart), allow_nan=False))
        plotly.graph_objects.Figure(figure)


def test_both_libraries_draw_every_mark() -> None:
    """Also names that mean something to HTML or to formulas."""
    x = np.arange(3.0)
    chart = Chart(
        "all",
        HOSTILE,
        "",
        (
            Panel(
                Axis(HOSTILE, limits=(0.5, 10.0)),
                Axis(HOSTILE, ticks=((0.0, "<b>$"), (1.0, "one")), lined=False),
                (
                    Line(x + 1, x, HOSTILE, BLUE, dashed=True, filled=True),
                    Band(x + 1, x, x + 1, HOSTILE, BLUE),
                    Bars(x + 1, x, HOSTILE, BLUE, texts=[HOSTILE] * 3, notes=[HOSTILE] * 3),
                    Points(x + 1, x, HOSTILE, BLUE, texts=[HOSTILE] * 3, notes=[HOSTILE] * 3),
                    Uprights(x + 1, HOSTILE, BLUE),
                ),
            ),
            Panel(
                Axis(""),
                Axis(""),
                (Cells(x, x, np.eye(3), HOSTILE, ((0.0, "#ffffff"), (1.0, BLUE)), [[HOSTILE] * 3] * 3),),
            ),
        ),
        height=900,
    )
    plotly.graph_objects.Figure(json.loads(json.dumps(interactive.figure(chart))))
    stream = io.BytesIO()
    image.draw(chart).savefig(stream)
    assert stream.getvalue().startswith(PNG)


def test_plotly_gets_no_tag_but_its_own_line_breaks() -> None:
    text = interactive.text(HOSTILE * 20)
    assert "<" not in text.replace("<br>", "")
    assert max(len(html.unescape(line)) for line in text.split("<br>")) == interactive.LINE


def test_numbers_reach_plotly_as_they_are() -> None:
    x = np.array([0.5, math.pi, -1e9])
    data = interactive.figure(Chart("", "", "", (Panel(Axis(""), Axis(""), (Line(x, x, "", BLUE),)),)))["data"][0]
    assert data["x"]["dtype"] == "f4"
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(data["x"]["bdata"]), "<f4"), x.astype(np.float32))


def test_errors_are_those_of_the_nodes(seen: Survey) -> None:
    chart = errors.errors(seen)
    points = {float(x): y for mark in marks(chart, Points) for x, y in zip(mark.x, mark.y, strict=True)}
    for number, node in enumerate(seen.nodes, 1):
        assert node.own is not None
        assert points[number] == node.own.sqnr_db
    (line,) = marks(chart, Line)
    assert line.y.tolist() == [node.accumulated.sqnr_db for node in seen.nodes if node.accumulated]


def test_bars_and_cells_are_the_spikes_of_the_profile(seen: Survey) -> None:
    bars = {float(x): h for mark in marks(spiking.spikes(seen), Bars) for x, h in zip(mark.x, mark.height, strict=True)}
    (cells,) = marks(spiking.steps(seen), Cells)
    for number, activity in enumerate(seen.spiking.profile.neurons, 1):
        assert bars[number] == activity.spikes_per_element
        column = cells.values[:, number - 1]
        assert np.nansum(column) == pytest.approx(activity.spikes_per_element)
        assert np.isfinite(column).sum() == activity.timesteps
        if activity.gate:
            assert column[0] == activity.spikes[0].sum() / activity.elements


def test_energy_stands_beside_the_original_by_every_rule(seen: Survey) -> None:
    original, spiking = marks(energy.energy(seen), Bars)
    figures = seen.spiking.profile.energy.figures()
    assert original.height.tolist() == [100.0] * len(figures)
    assert spiking.height.tolist() == [100 * figure.ratio for figure in figures]


def test_losses_lie_over_time_steps_and_spikes(seen: Survey) -> None:
    by_steps, by_spikes = losses.losses(seen)
    errors = {candidate.timesteps: 100 * candidate.evaluation.relative_error for candidate in seen.candidates}
    (points,) = marks(by_steps, Points)
    assert dict(zip(points.x.tolist(), points.y.tolist(), strict=True)) == errors
    (points,) = marks(by_spikes, Points)
    assert sorted(points.x) == sorted(candidate.spikes * 1e-6 for candidate in seen.candidates)
    assert "--also" not in by_steps.caption


def test_fit_shows_the_neuron_its_function_and_the_error(seen: Survey) -> None:
    view = next(view for view in seen.neurons if view.activity.source == "gelu")
    chart = neuron.fit(view)
    target, output, distribution = marks(chart, Line)
    np.testing.assert_array_equal(target.y, get("gelu").formula(target.x))
    np.testing.assert_array_equal(output.y, view.neuron(output.x))
    (band,) = marks(chart, Band)
    # The centre of a slice is not one of the points at which the band is evaluated: a level of the neuron more or less.
    level = float(np.abs(view.neuron.weight).max()) * 2.0**-7
    error = output.y - target.y
    assert (error >= band.low - 2 * level).all()
    assert (error <= band.high + 2 * level).all()
    assert (band.high - band.low).max() > 0
    assert 99.0 < distribution.y.sum() <= 100.0


def test_raster_has_a_stroke_for_every_spike(seen: Survey) -> None:
    for view in seen.neurons:
        (strokes,) = marks(neuron.raster(view, 0), Points)
        values = np.unique(strokes.y).size
        assert values <= neuron.RASTER_ELEMENTS
        assert strokes.x.size == strokes.y.size == len(strokes.notes)
        if view.sample.size <= neuron.RASTER_ELEMENTS:
            assert strokes.x.size == fired_slots(view.neuron, view.sample).sum()


@pytest.mark.parametrize(
    ("u_rest", "gain", "polarity", "knots"),
    [
        ([0, 1, 3], [2, 1, 0.5], 0, [0, 1, 3, 7]),
        ([0, 0, -1], [1, -2, -0.5], 0, [-5, -1, 0, 2]),
        ([0, 1], [2, 1], 1, [-3, -1, 0, 1, 3]),
    ],
)
def test_knots_are_where_bases_begin_and_end(
    u_rest: list[float], gain: list[float], polarity: int, knots: list[float]
) -> None:
    bank = halving_neuron(u_rest, gain, np.ones(len(gain)), 0, 8, polarity=polarity)
    np.testing.assert_allclose(neuron.knots_of(bank), knots)


def test_bases_that_overlap_have_all_their_ends() -> None:
    """The neuron as published begins everywhere at one potential."""
    bank = fit_paper(get("gelu"), 4, 8)
    knots = neuron.knots_of(bank)
    assert len(knots) == 1 + len(np.unique(bank.gain))


def test_pictures_are_written_under_the_names_of_charts(seen: Survey, tmp_path: Path) -> None:
    files = write_images(seen, tmp_path / "pictures")
    kinds = {view.activity.kind for view in seen.neurons}
    assert len(files) == len(set(files)) == len(overview.overview(seen)) + 2 * len(kinds)
    names = {re.sub(r"-\d+-", "-", file.stem) for file in files}
    assert names >= {"errors", "energy", "fit-gelu", "raster-softmax-exp2"}
    for file in files:
        content = file.read_bytes()
        assert content.startswith(PNG)
        assert len(content) > 10_000, f"{file} is empty"


def test_pictures_go_to_a_folder(seen: Survey, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "missing" / "pictures"):
        with pytest.raises(OutputError, match=r"is a file|does not exist"):
            write_images(seen, folder)


def test_neuron_without_arguments_is_drawn_all_the_same(seen: Survey) -> None:
    """All that it was given may have been NaN."""
    nothing = np.zeros(0, np.float32)
    for view in seen.neurons[:2]:
        idle = dataclasses.replace(view, arguments=nothing, sample=nothing)
        for chart in (neuron.fit(idle), neuron.raster(idle, 0)):
            plotly.graph_objects.Figure(json.loads(json.dumps(interactive.figure(chart), allow_nan=False)))
            image.draw(chart).savefig(io.BytesIO())


def test_losses_that_are_not_finite_are_drawn_all_the_same(seen: Survey) -> None:
    lost = dataclasses.replace(
        seen.spiking.evaluation, metric="perplexity", original=2.0, spiking=math.inf, relative_error=math.inf
    )
    candidates = (dataclasses.replace(seen.spiking, evaluation=lost), *seen.candidates[1:])
    for chart in losses.losses(dataclasses.replace(seen, candidates=candidates)):
        json.dumps(interactive.figure(chart), allow_nan=False)
        image.draw(chart).savefig(io.BytesIO())


@pytest.mark.parametrize(
    ("value", "colour"), [(-5, "#b2182b"), (0, "#b2182b"), (42.5, "#a6bc8a"), (65, "#2166ac"), (150, "#2166ac")]
)
def test_colours_blend_and_stop_at_the_ends(value: float, colour: str) -> None:
    assert colour_at(families.SQNR_COLOURS, value) == colour


@pytest.mark.parametrize(
    ("picojoules", "text"), [(0, "0 pJ"), (999, "999 pJ"), (1.5e6, "1.5 µJ"), (3.21e10, "32.1 mJ"), (4e12, "4 J")]
)
def test_energies_have_units_of_their_size(picojoules: float, text: str) -> None:
    assert energy.joules(picojoules) == text

# SPDX-License-Identifier: Apache-2.0
"""Charts of the whole network: errors along it, spikes, losses beside other files, energy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.evaluation.metrics import METRICS
from onnx_snn.neurons.opset import MBE_NEURON, SPIKING_SOFTMAX
from onnx_snn.profiling.activity import NeuronActivity
from onnx_snn.reporting.charts.chart import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Axis,
    Bars,
    Cells,
    Chart,
    ColourScale,
    Line,
    Panel,
    Points,
    Values,
)
from onnx_snn.reporting.charts.neuron import GATE_CAPTION
from onnx_snn.reporting.survey import Candidate, NodeView, Survey

SQNR_COLOURS: ColourScale = (
    (0.0, "#b2182b"),
    (20.0, "#e8874f"),
    (35.0, "#f2cf6b"),
    (50.0, "#5aa9a8"),
    (65.0, "#2166ac"),
)
"""Decibels of signal to error: red is an error as large as the signal, 20 one of 10 %, 40 of 1 %, 60 of 0.1 %."""

SPIKE_COLOURS: ColourScale = (
    (0.0, "#f7fbff"),
    (0.05, "#d0e1f2"),
    (0.1, "#94c4df"),
    (0.15, "#4a98c9"),
    (0.4, "#1764ab"),
    (1.0, "#08306b"),
)
"""From nothing to the largest value, in shares of it. Gates can take many spikes and the other steps one a number."""

EXACT_DB = 150.0
"""Where an error of nothing is drawn: beyond what float32 resolves."""

CODE, FUNCTION, SOFTMAX, NORMALIZATION = "code of an operand", "function", "softmax", "normalization"
FAMILY_COLOURS = {CODE: BLUE, FUNCTION: ORANGE, SOFTMAX: GREEN, NORMALIZATION: PURPLE}


def family_of(node: NodeView) -> str:
    """What kind of operation a spiking node stands for."""
    if node.operator == MBE_NEURON.name:
        return CODE if node.source == "identity" else FUNCTION
    return SOFTMAX if node.operator == SPIKING_SOFTMAX.name else NORMALIZATION


def decibels(difference: Difference | None) -> float:
    """SQNR within what can be drawn; NaN where nothing was compared."""
    return math.nan if difference is None else float(np.clip(difference.sqnr_db, -10.0, EXACT_DB))


def joules(picojoules: float) -> str:
    """An energy in the unit that suits its size."""
    for unit, size in (("J", 1e12), ("mJ", 1e9), ("µJ", 1e6), ("nJ", 1e3)):
        if picojoules >= size:
            return f"{picojoules / size:.3g} {unit}"
    return f"{picojoules:.3g} pJ"


def overview(survey: Survey) -> dict[str, Chart]:
    """All charts of the network, by key."""
    charts = (errors(survey), spikes(survey), steps(survey), energy(survey), *losses(survey))
    return {chart.key: chart for chart in charts}


def errors(survey: Survey) -> Chart:
    """Errors of the nodes along the network."""
    numbers = np.arange(1, len(survey.nodes) + 1, dtype=np.float64)
    own, accumulated = (
        np.array([decibels(getattr(node, name)) for node in survey.nodes]) for name in ("own", "accumulated")
    )
    notes = [_node_note(number, node) for number, node in enumerate(survey.nodes, 1)]
    families = np.array([family_of(node) for node in survey.nodes])
    points = [
        Points(numbers[chosen], own[chosen], family, colour, notes=[notes[i] for i in np.flatnonzero(chosen)])
        for family, colour in FAMILY_COLOURS.items()
        if (chosen := families == family).any()
    ]
    line = Line(numbers, accumulated, "all errors up to here, together", GREY)
    return Chart(
        "errors",
        "Signal to error of every spiking node, from input to output of the network",
        "Higher is better: 20 dB is an error of 10 % of the signal, 40 dB of 1 %, 60 dB of 0.1 %. Points: the error "
        "that a node makes by itself. Grey line: how far its output is from the original network's, with the errors "
        "of all nodes before it. A point far below its neighbours is where accuracy goes.",
        (
            Panel(
                Axis("spiking node, numbered as in the list", limits=_whole(len(numbers))),
                Axis("signal to error (SQNR), dB"),
                (line, *points),
            ),
        ),
        height=380,
    )


def spikes(survey: Survey) -> Chart:
    """Spikes of an element by neuron."""
    groups: dict[str, tuple[list[int], list[NeuronActivity]]] = {family: ([], []) for family in FAMILY_COLOURS}
    number = 0
    for node in survey.nodes:
        for view in node.neurons:
            number += 1
            numbers, activities = groups[family_of(node)]
            numbers.append(number)
            activities.append(view.activity)
    bars = tuple(
        Bars(
            np.array(numbers, np.float64),
            np.array([activity.spikes_per_element for activity in activities]),
            family,
            FAMILY_COLOURS[family],
            notes=[_activity_note(n, activity) for n, activity in zip(numbers, activities, strict=True)],
        )
        for family, (numbers, activities) in groups.items()
        if numbers
    )
    return Chart(
        "spikes",
        "How many spikes each number costs, neuron by neuron",
        "An element is one number that passes through a neuron; bars show how often the neuron fires for it, on "
        "average over the data. Softmax and normalization nodes hold two neurons each.",
        (
            Panel(
                Axis("neuron, numbered in the order of the network", limits=_whole(number)),
                Axis("spikes per element"),
                bars,
            ),
        ),
        height=320,
    )


def steps(survey: Survey) -> Chart:
    """Spikes by neuron and time step."""
    activities = [view.activity for view in survey.neurons]
    last = max(activity.timesteps - activity.gate for activity in activities)
    rates = np.full((last + 1, len(activities)), np.nan)
    for column, activity in enumerate(activities):
        rows = slice(1 - activity.gate, 1 + activity.timesteps - activity.gate)
        rates[rows, column] = activity.spikes_per_step / max(activity.elements, 1)
    gated = any(activity.gate for activity in activities)
    rates = rates if gated else rates[1:]
    darkest = float(np.nanmax(rates))
    labels = ["gate", *map(str, range(1, last + 1))][0 if gated else 1 :]
    notes = [
        [_step_note(number, activity, label, value) for number, activity, value in _enumerated(activities, row)]
        for label, row in zip(labels, rates, strict=True)
    ]
    positions = np.arange(len(labels), dtype=np.float64)
    cells = Cells(
        np.arange(1, len(activities) + 1, dtype=np.float64),
        positions,
        rates,
        "spikes per element",
        tuple((share * darkest, colour) for share, colour in SPIKE_COLOURS),
        notes,
    )
    ticks = tuple(zip(positions.tolist(), labels, strict=True))
    return Chart(
        "steps",
        "When they fire: spikes of each neuron by time step",
        "Every column is a neuron, every row a time step; the darker, the more spikes an element fires in that step."
        + (f" {GATE_CAPTION}" if gated else "")
        + (" Empty: the neuron has fewer steps." if np.isnan(rates).any() else ""),
        (
            Panel(
                Axis("neuron, numbered in the order of the network", limits=_whole(len(activities))),
                Axis("time step", ticks=ticks),
                (cells,),
            ),
        ),
        height=340,
    )


def losses(survey: Survey) -> Iterator[Chart]:
    """What the network and others of the same original lose, against time steps and against spikes."""
    alone = len(survey.candidates) == 1
    more = (
        " This report holds one converted file. Convert the original again, for instance with --timesteps 4, and add "
        "it: onnx-snn report ... --also other.onnx."
    )
    for key, title, axis, value in _SCALES:
        yield Chart(
            key,
            title,
            "Every point is a converted file; the best are close to the original with few "
            + ("steps. " if key == "loss-by-timesteps" else "spikes. ")
            + _metric_in_words(survey.spiking.evaluation.metric)
            + (more if alone else ""),
            tuple(_loss_panels(survey.candidates, axis, value)),
            height=440 if survey.spiking.evaluation.metric else 320,
        )


def energy(survey: Survey) -> Chart:
    """Energy of the spiking network beside the original's, by rule."""
    figures, samples = survey.spiking.profile.energy.figures(), survey.spiking.profile.samples
    positions = np.arange(len(figures), dtype=np.float64)
    ratios = np.array([100.0 * figure.ratio for figure in figures])
    tallest = float(np.nanmax([100.0, *ratios]))
    ticks = tuple((float(i), figure.rule.name) for i, figure in enumerate(figures))
    original = Bars(
        positions - 0.2,
        np.full(len(figures), 100.0),
        "original network (ANN)",
        GREY,
        0.36,
        texts=[joules(figure.original / samples) for figure in figures],
    )
    spiking = Bars(
        positions + 0.2,
        ratios,
        "spiking network (SNN)",
        BLUE,
        0.36,
        texts=[
            f"{ratio:.0f} %\n{joules(figure.spiking / samples)}" if ratio >= 0 else ""
            for ratio, figure in zip(ratios, figures, strict=True)
        ],
    )
    return Chart(
        "energy",
        "Energy of one sample, by four rules of counting",
        "Nobody measured this energy: it is a count of operations times a cost of each, and the rule decides what is "
        "counted. So there is no single figure. Each rule counts the same operations of both networks; the original "
        "is 100 %. Rules and their sources are listed below.",
        (
            Panel(
                Axis("", ticks=ticks),
                Axis("energy, % of the original's", limits=(0.0, 1.25 * tallest)),
                (original, spiking),
            ),
        ),
        height=400,
    )


TIMESTEPS = "time steps T"

_SCALES: tuple[tuple[str, str, str, Callable[[Candidate], float]], ...] = (
    ("loss-by-timesteps", "Loss against time steps", TIMESTEPS, lambda candidate: float(candidate.timesteps)),
    ("loss-by-spikes", "Loss against spikes", "spikes of one sample, millions", lambda c: c.spikes * 1e-6),
)


def in_percent(metric: str) -> bool:
    """Whether a task metric is read in percent."""
    return metric in METRICS and METRICS[metric].percent


def _metric_in_words(metric: str) -> str:
    """What the lower panel shows."""
    if not metric:
        return "The data has no labels, so there is no task metric."
    meanings = {"accuracy": "share of right answers", "perplexity": "perplexity, where less is better"}
    return f"Below: the {meanings.get(metric, metric)}; the dashed line is the original network."


def _loss_panels(candidates: Sequence[Candidate], axis: str, value: Callable[[Candidate], float]) -> Iterator[Panel]:
    ordered = sorted(candidates, key=value)
    x = np.array([value(candidate) for candidate in ordered])
    texts = [f"T={candidate.timesteps}" for candidate in ordered]
    names = [Path(candidate.name).name for candidate in ordered]
    marked = tuple((float(c.timesteps), str(c.timesteps)) for c in ordered) if axis == TIMESTEPS else ()
    horizontal = Axis(axis, ticks=tuple(dict.fromkeys(marked)), limits=_around(x, 0.12))
    error = np.array([candidate.evaluation.relative_error for candidate in ordered]) * 100.0
    yield _loss_panel(x, error, texts, names, horizontal, "output error, %", BLUE, None)
    evaluation = candidates[0].evaluation
    if evaluation.metric:
        percent = 100.0 if in_percent(evaluation.metric) else 1.0
        metric = np.array([candidate.evaluation.spiking for candidate in ordered]) * percent
        title = evaluation.metric + (", %" if in_percent(evaluation.metric) else "")
        yield _loss_panel(x, metric, texts, names, horizontal, title, ORANGE, evaluation.original * percent)


def _loss_panel(
    x: Values,
    y: Values,
    texts: Sequence[str],
    names: Sequence[str],
    axis: Axis,
    title: str,
    colour: str,
    original: float | None,
) -> Panel:
    notes = [f"{name}: {value:.4g}" for name, value in zip(names, y, strict=True)]
    marks: list[Line | Points] = [Line(x, y, "", colour), Points(x, y, "", colour, texts=texts, notes=notes)]
    heights = y
    if original is not None and axis.limits is not None:
        heights = np.append(y, original)
        marks.insert(0, Line(np.array(axis.limits), np.full(2, original), "", GREY, dashed=True))
    return Panel(axis, Axis(title, limits=_around(heights, 0.3)), tuple(marks))


def _around(values: Values, margin: float) -> tuple[float, float]:
    """Limits of an axis that shows all `values`, with a share of their span, or of them, on either side."""
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    room = max(margin * float(np.ptp(values)), 0.01 * float(np.abs(values).max())) or 1.0
    return float(values.min()) - room, float(values.max()) + room


def _whole(count: int) -> tuple[float, float]:
    """Limits of an axis on which things are numbered from 1."""
    return 0.0, count + 1.0


def _enumerated(activities: Sequence[NeuronActivity], row: Values) -> Iterator[tuple[int, NeuronActivity, float]]:
    return ((i, activity, float(value)) for i, (activity, value) in enumerate(zip(activities, row, strict=True), 1))


def _node_note(number: int, node: NodeView) -> str:
    return f"{number}: {node.name} ({node.source}), {decibels(node.own):.1f} dB"


def _activity_note(number: int, activity: NeuronActivity) -> str:
    return f"{number}: {activity.name} ({activity.kind}), {activity.spikes_per_element:.2f} spikes per element"


def _step_note(number: int, activity: NeuronActivity, step: str, value: float) -> str:
    if math.isnan(value):
        return f"{number}: {activity.name} ({activity.kind}) has no step {step}"
    return f"{number}: {activity.name} ({activity.kind}), step {step}: {value:.3f} spikes per element"

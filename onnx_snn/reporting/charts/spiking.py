# SPDX-License-Identifier: Apache-2.0
"""Charts of spikes by neuron, and by neuron and time step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from onnx_snn.profiling.activity import NeuronActivity
from onnx_snn.reporting.charts.chart import Axis, Bars, Cells, Chart, ColourScale, Panel, Values, numbered
from onnx_snn.reporting.charts.families import FAMILY_COLOURS, family_of
from onnx_snn.reporting.charts.strokes import GATE_CAPTION
from onnx_snn.reporting.views import Survey

SPIKE_COLOURS: ColourScale = (
    (0.0, "#f7fbff"),
    (0.05, "#d0e1f2"),
    (0.1, "#94c4df"),
    (0.15, "#4a98c9"),
    (0.4, "#1764ab"),
    (1.0, "#08306b"),
)
"""Colours of spike rates by their fraction of the largest rate; finer near zero, because far more elements may fire in
the step of the saturation spike than in any other step."""


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
        "Spikes per element of each neuron",
        "Mean number of spikes that a neuron fires for one element of its input, over all data. Softmax and "
        "normalization nodes have two neurons each.",
        (
            Panel(
                Axis("neuron, numbered in the order of the network", limits=numbered(number)),
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
        "Spikes per element of each neuron, by time step",
        "Every column is a neuron, every row a time step; darker cells have more spikes per element."
        + (f" {GATE_CAPTION}" if gated else "")
        + (" Empty: the neuron has fewer steps." if np.isnan(rates).any() else ""),
        (
            Panel(
                Axis("neuron, numbered in the order of the network", limits=numbered(len(activities))),
                Axis("time step", ticks=ticks),
                (cells,),
            ),
        ),
        height=340,
    )


def _enumerated(activities: Sequence[NeuronActivity], row: Values) -> Iterator[tuple[int, NeuronActivity, float]]:
    return ((i, activity, float(value)) for i, (activity, value) in enumerate(zip(activities, row, strict=True), 1))


def _activity_note(number: int, activity: NeuronActivity) -> str:
    return f"{number}: {activity.name} ({activity.kind}), {activity.spikes_per_element:.2f} spikes per element"


def _step_note(number: int, activity: NeuronActivity, step: str, value: float) -> str:
    if math.isnan(value):
        return f"{number}: {activity.name} ({activity.kind}) has no step {step}"
    return f"{number}: {activity.name} ({activity.kind}), step {step}: {value:.3f} spikes per element"

# SPDX-License-Identifier: Apache-2.0
"""Raster plots: single spikes as strokes, one row for each element, one column for each time step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.errors import ConfigError
from onnx_snn.events.trains.record import SpikeRecord
from onnx_snn.reporting.charts.chart import GREY, RED, Axis, Chart, Panel, Points, Uprights

RASTER_ELEMENTS = 40
"""Largest number of rows of a raster plot: about as many as a reader can distinguish."""

GATE_CAPTION = (
    'Step "gate" is that of the saturation spike: a basis whose range the argument exceeds fires once, before step 1, '
    "and is silent afterwards."
)
"""Explanation of the saturation spike in captions."""


class Rows(NamedTuple):
    """The rows of a raster plot, from the bottom.

    Attributes:
        title: what they are.
        notes: what each is, shown on hovering over its spikes.
        labels: what each is, at the axis.
    """

    title: str
    notes: Sequence[str]
    labels: Sequence[str]


def strokes(trains: NDArray[np.bool_], rows: Rows, caption: str, *, gate: bool) -> Chart:
    """The raster plot of spike trains.

    Args:
        trains: spikes by time step, basis and row, bool [S, N, rows].
        rows: the rows.
        caption: how to read it.
        gate: whether the first time step is that of a saturation spike.
    """
    step, basis, row = np.nonzero(trains)
    steps, bases, number = trains.shape
    x = step + 0.1 + 0.8 * (basis + 0.5) / bases
    labels = [*(["gate"] if gate else []), *map(str, range(1, steps - gate + 1))]
    notes = [f"{rows.notes[r]}, step {labels[s]}, basis {b + 1}" for s, b, r in np.argwhere(trains).tolist()]
    shown = np.unique(np.linspace(0, number - 1, 9).round().astype(int)) if number else np.zeros(0, int)
    horizontal = Axis(
        f"time step; within each the {bases} bases from left to right",
        ticks=tuple((i + 0.5, label) for i, label in enumerate(labels)),
        limits=(0.0, float(steps)),
        lined=False,
    )
    vertical = Axis(
        rows.title,
        ticks=tuple((float(i), rows.labels[i]) for i in shown),
        limits=(-1.0, float(max(number, 1))),
    )
    spikes = Points(x, row.astype(np.float64), "spike", RED, upright=True, notes=notes)
    borders = Uprights(np.arange(1, steps, dtype=np.float64), "", GREY)
    title = f"Raster plot: {int(trains.sum())} spikes for {number} elements"
    return Chart("raster", title, caption, (Panel(horizontal, vertical, (borders, spikes)),), height=560)


def raster_of_record(record: SpikeRecord, sample: int) -> Chart:
    """The raster plot of a sample of written spike trains, for elements at equal distances.

    Raises:
        ConfigError: there is no such sample.
    """
    if not 0 <= sample < record.samples:
        raise ConfigError(f"sample is {sample}, but '{record.name}' has {record.samples} samples")
    trains = record.trains(sample)
    count = trains.shape[2]
    elements = np.linspace(0, count - 1, min(RASTER_ELEMENTS, count)).round().astype(int)
    rows = Rows("element", [f"element {each}" for each in elements], [str(each) for each in elements])
    caption = f"Each row is one element in sample {sample}; each stroke is a spike."
    caption = f"{caption} {GATE_CAPTION}" if record.gate else caption
    chart = strokes(trains[:, :, elements], rows, caption, gate=record.gate)
    return dataclasses.replace(chart, title=f"{record.name}, sample {sample}: {chart.title}")

# SPDX-License-Identifier: Apache-2.0
"""The chart of energy by rule of counting."""

from __future__ import annotations

import numpy as np

from onnx_snn.reporting.charts.chart import BLUE, GREY, Axis, Bars, Chart, Panel
from onnx_snn.reporting.views import Survey


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
        "Energy of one sample, by several rules of counting",
        "The energy is an estimate, not a measurement: the number of operations times the cost of each. It depends "
        "mostly on which operations are counted, so several rules are shown. Each rule counts the same kinds of "
        "operations in both networks; the original is 100 %. The rules and their sources are listed below.",
        (
            Panel(
                Axis("", ticks=ticks),
                Axis("energy, % of the original's", limits=(0.0, 1.25 * tallest)),
                (original, spiking),
            ),
        ),
        height=400,
    )


def joules(picojoules: float) -> str:
    """An energy, given in picojoules, as text with three significant digits and a suitable unit."""
    for unit, size in (("J", 1e12), ("mJ", 1e9), ("µJ", 1e6), ("nJ", 1e3)):
        if picojoules >= size:
            return f"{picojoules / size:.3g} {unit}"
    return f"{picojoules:.3g} pJ"

# SPDX-License-Identifier: Apache-2.0
"""Charts of one neuron: fit and error over the range of its arguments, and a raster plot of its spikes."""

from __future__ import annotations

import numpy as np

from onnx_snn.neurons.mbe import MbeNeuron, spike_trains
from onnx_snn.neurons.ramps import disjoint
from onnx_snn.reporting.charts.chart import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    RED,
    Axis,
    Band,
    Chart,
    Line,
    Panel,
    Uprights,
    Values,
)
from onnx_snn.reporting.charts.strokes import GATE_CAPTION, RASTER_ELEMENTS, Rows, strokes
from onnx_snn.reporting.views import NeuronView

SLICES, SLICE_POINTS = 200, 32
"""Number of slices of the charted range, and number of arguments in each slice at which the error is evaluated."""

SHOWN = (0.0005, 0.9995)
"""Quantiles of the arguments at the ends of the horizontal axis, so that single outliers do not compress the rest."""


@np.errstate(all="ignore")  # a function may overflow where its neuron is only asked to be drawn
def fit(view: NeuronView) -> Chart:
    """The neuron beside its function, the error, and the distribution of the arguments."""
    low, high = shown_range(view)
    edges = np.linspace(low, high, SLICES + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    knots = knots_of(view.neuron)
    knots = knots[(knots >= low) & (knots <= high)]
    output = view.neuron(centres).astype(np.float64)
    marks: list[Line | Uprights] = [Line(centres, output, "neuron", ORANGE)]
    argument = Axis("argument of the neuron", limits=(low, high))
    panels = []
    if view.function is not None:
        target = view.function.formula(centres)
        marks.insert(0, Line(centres, target, f"function: {view.function.name}", INK, dashed=True))
        panels.append(Panel(argument, Axis("error"), (_error_band(view, edges),), share=0.8))
    marks.append(Uprights(knots, "segment boundaries", GREY))
    share, _ = np.histogram(view.arguments, edges)
    distribution = Line(centres, 100.0 * share / max(view.arguments.size, 1), "observed arguments", BLUE, filled=True)
    panels.insert(0, Panel(argument, Axis("output"), tuple(marks), share=1.4))
    panels.append(Panel(argument, Axis("share, %"), (distribution,), share=0.6))
    return Chart(
        "fit",
        "Output and error of the neuron",
        _fit_in_words(view),
        tuple(panels),
        height=560,
    )


def raster(view: NeuronView, sample: int) -> Chart:
    """Single spikes of the neuron for numbers of the chosen sample, whose number is `sample`."""
    ranks = np.linspace(0, view.sample.size - 1, min(RASTER_ELEMENTS, view.sample.size)).round().astype(int)
    values = view.sample[ranks]
    caption = (
        f"Each row is one argument of the neuron in sample {sample} of the data, in ascending order from the bottom; "
        f"each stroke is a spike.{_kernels_in_words(view.neuron)}"
    )
    sizes = view.neuron.sizes
    rows = Rows("argument", [f"argument {value:.4g}" for value in values], [f"{value:.3g}" for value in values])
    return strokes(spike_trains(view.neuron, values), rows, caption, gate=sizes is not None and sizes.gate)


def shown_range(view: NeuronView) -> tuple[float, float]:
    """The range of arguments that is drawn: that of the function where it is fixed, else of the observed ones."""
    if view.function is not None and view.function.fixed_domain:
        return view.function.domain
    if not view.arguments.size:
        return -1.0, 1.0
    low, high = (float(value) for value in np.quantile(view.arguments, SHOWN))
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def knots_of(neuron: MbeNeuron) -> Values:
    """Arguments at which a basis of a halving neuron begins or ends to change; empty for other kernels."""
    if neuron.halving is None:
        return np.zeros(0)
    begin = neuron.u_rest.astype(np.float64)
    ends = begin + 2.0 / neuron.gain
    if disjoint(neuron):
        # Where one segment ends another begins, but for half a level.
        ends = np.array([end for end in (ends.min(), ends.max()) if not begin.min() <= end <= begin.max()])
    knots = np.unique(np.concatenate([begin, ends]))
    return np.unique(np.concatenate([-knots, knots])) if neuron.polarity else knots


def _kernels_in_words(neuron: MbeNeuron) -> str:
    """What a spike counts at each time step, as far as it can be said in words."""
    if neuron.sizes is None:
        return ""
    if neuron.halving is None:
        counts = " The weight of a spike decreases from step to step; a basis fires if its remainder is at least that."
    else:
        counts = " The weight of a spike halves from step to step: a basis fires the bits of a binary number."
    return f"{counts} {GATE_CAPTION}" if neuron.sizes.gate else counts


def _segments_in_words(neuron: MbeNeuron) -> str:
    """What the vertical lines of a fit mean."""
    if neuron.halving is None:
        return ""
    if disjoint(neuron):
        return "Between two thin vertical lines one basis is active: a linear segment. "
    return "The thin vertical lines are the ends of the ranges of the bases, which overlap. "


def _fit_in_words(view: NeuronView) -> str:
    """How to read a fit, panel by panel."""
    if view.function is None:
        top, middle = "Top: output of the neuron; its function is not registered in this process. ", ""
    else:
        top = "Top: the function that was replaced (dashed) and the output of the neuron. "
        middle = f"Middle: error, neuron minus function; smallest and largest value in each of {SLICES} slices. "
    bottom = (
        "Bottom: distribution of the arguments in the data; errors matter where it is high. The outermost 0.05 % of "
        "the arguments on either side are not shown."
    )
    return top + _segments_in_words(view.neuron) + middle + bottom


def _error_band(view: NeuronView, edges: Values) -> Band:
    """Smallest and largest error within each slice."""
    assert view.function is not None, "callers have seen to it"
    inside = (np.arange(SLICE_POINTS) + 0.5) / SLICE_POINTS
    x = (edges[:-1, None] + inside * np.diff(edges)[:, None]).astype(np.float32)
    error = view.neuron(x) - view.function.formula(x.astype(np.float64))
    centres = (edges[:-1] + edges[1:]) / 2
    return Band(centres, error.min(axis=1), error.max(axis=1), "error, smallest to largest", RED)

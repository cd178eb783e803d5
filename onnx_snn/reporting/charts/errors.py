# SPDX-License-Identifier: Apache-2.0
"""The chart of errors along the network."""

from __future__ import annotations

import numpy as np

from onnx_snn.reporting.charts.chart import GREY, Axis, Chart, Line, Panel, Points, numbered
from onnx_snn.reporting.charts.families import FAMILY_COLOURS, decibels, family_of
from onnx_snn.reporting.views import NodeView, Survey


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
    line = Line(numbers, accumulated, "accumulated error", GREY)
    return Chart(
        "errors",
        "Signal-to-quantization-noise ratio (SQNR) of every spiking node, from input to output of the network",
        "Higher is better: 20 dB is an error of 10 % of the signal, 40 dB of 1 %, 60 dB of 0.1 %. Points: the node's "
        "own error, for its inputs in the spiking network. Grey line: the accumulated error, against the original "
        "network, which includes the errors of all nodes before it. Points far below their neighbours cost the most "
        "accuracy.",
        (
            Panel(
                Axis("spiking node, numbered as in the list", limits=numbered(len(numbers))),
                Axis("SQNR, dB"),
                (line, *points),
            ),
        ),
        height=380,
    )


def _node_note(number: int, node: NodeView) -> str:
    return f"{number}: {node.name} ({node.source}), {decibels(node.own):.1f} dB"

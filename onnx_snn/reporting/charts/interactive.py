# SPDX-License-Identifier: Apache-2.0
"""Charts as plotly.js figures: JSON values, in which names are escaped because plotly interprets some HTML in them."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from onnx_snn.reporting.charts.chart import (
    GRID,
    INK,
    PAPER,
    Axis,
    Band,
    Bars,
    Cells,
    Chart,
    Line,
    Mark,
    Points,
    Uprights,
    Values,
)

Json: TypeAlias = dict[str, Any]

FONT = {"family": "system-ui, sans-serif", "size": 13, "color": INK}

GAP = 24
"""Vertical distance between the panels of a chart, in pixels."""

LINE = 90
"""Longest line of a note, in characters: plotly does not wrap lines, and clips them at the edge of the chart."""

MARGINS = {"l": 78, "r": 24, "t": 34, "b": 56}
"""Margins of a chart in pixels: left, right, top, bottom."""


def figure(chart: Chart) -> Json:
    """Data and layout of `chart` for `Plotly.newPlot`."""
    data: list[Json] = []
    layout: Json = {
        "height": chart.height,
        "margin": MARGINS,
        "font": FONT,
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "hovermode": "closest",
        "barmode": "overlay",
        "legend": {"orientation": "h", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom"},
        "shapes": [],
    }
    for number, (panel, domain) in enumerate(zip(chart.panels, _domains(chart), strict=True), 1):
        suffix = "" if number == 1 else str(number)
        last = number == len(chart.panels)
        layout[f"xaxis{suffix}"] = {
            **_axis(panel.x, titled=last),
            "anchor": f"y{suffix}",
            "showticklabels": last,
            **({"matches": "x"} if suffix else {}),
        }
        layout[f"yaxis{suffix}"] = {**_axis(panel.y, titled=True), "anchor": f"x{suffix}", "domain": domain}
        for mark in panel.marks:
            data += [{**trace, "xaxis": f"x{suffix}", "yaxis": f"y{suffix}"} for trace in _traces(mark, domain)]
            if isinstance(mark, Uprights):
                layout["shapes"] += _uprights(mark, suffix)
    return {"data": data, "layout": layout}


def text(words: str) -> str:
    """`words` so that plotly shows them as they are, broken into lines where they are long."""
    lines = [words[i : i + LINE] for i in range(0, len(words), LINE)]
    return "<br>".join(html.escape(line) for line in lines)


def _domains(chart: Chart) -> list[list[float]]:
    """Lower and upper end of each panel, in shares of the height between the margins."""
    inner = chart.height - MARGINS["t"] - MARGINS["b"]
    gap = GAP / inner
    shares = np.array([panel.share for panel in chart.panels])
    heights = shares / shares.sum() * (1.0 - gap * (len(shares) - 1))
    tops = 1.0 - np.concatenate([[0.0], np.cumsum(heights + gap)[:-1]])
    return [[max(float(top - height), 0.0), float(top)] for top, height in zip(tops, heights, strict=True)]


def _axis(axis: Axis, *, titled: bool) -> Json:
    settings: Json = {
        "gridcolor": GRID,
        "showgrid": axis.lined,
        "zerolinecolor": GRID,
        "linecolor": INK,
        "automargin": True,
    }
    if titled:
        settings["title"] = {"text": text(axis.title), "standoff": 8}
    if axis.ticks:
        settings["tickvals"] = [position for position, _ in axis.ticks]
        settings["ticktext"] = [text(label) for _, label in axis.ticks]
    if axis.limits:
        settings["range"] = list(axis.limits)
    return settings


def _traces(mark: Mark, domain: Sequence[float]) -> list[Json]:
    if isinstance(mark, Cells):
        return [_cells(mark, domain)]
    return list(_DRAWERS[type(mark)](mark))


def _line(mark: Line) -> Iterator[Json]:
    fill = {"fill": "tozeroy", "fillcolor": _tint(mark.colour)} if mark.filled else {}
    dash = {"dash": "dash"} if mark.dashed else {}
    yield {
        **_scatter(mark.x, mark.y, mark.name),
        "mode": "lines",
        "line": {"color": mark.colour, "width": 2, **dash},
    } | fill


def _band(mark: Band) -> Iterator[Json]:
    edge = {"mode": "lines", "line": {"color": mark.colour, "width": 1}, "legendgroup": mark.name}
    yield {**_scatter(mark.x, mark.low, ""), **edge, "showlegend": False}
    yield {**_scatter(mark.x, mark.high, mark.name), **edge, "fill": "tonexty", "fillcolor": _tint(mark.colour)}


def _bars(mark: Bars) -> Iterator[Json]:
    yield {
        "type": "bar",
        "x": _array(mark.x),
        "y": _array(mark.height),
        "width": mark.width,
        "name": text(mark.name),
        "marker": {"color": mark.colour},
        "textposition": "outside",
        "cliponaxis": False,
        "constraintext": "none",
        **({"text": ["<br>".join(map(text, words.split("\n"))) for words in mark.texts]} if mark.texts else {}),
        **_notes(mark.notes),
    }


def _points(mark: Points) -> Iterator[Json]:
    size = {"symbol": "line-ns-open", "size": 8, "line": {"width": 2}} if mark.upright else {"size": 8}
    labelled = {"text": [text(words) for words in mark.texts], "textposition": "top center"} if mark.texts else {}
    yield {
        **_scatter(mark.x, mark.y, mark.name),
        "mode": "markers+text" if mark.texts else "markers",
        "marker": {"color": mark.colour, **size},
        "cliponaxis": False,
        **labelled,
        **_notes(mark.notes),
    }


def _uprights_legend(mark: Uprights) -> Iterator[Json]:
    """Shapes have no legend: an empty trace stands in for them."""
    if mark.name:
        yield {
            "type": "scatter",
            "x": [None],
            "y": [None],
            "mode": "lines",
            "name": text(mark.name),
            "line": _thin(mark),
        }


def _uprights(mark: Uprights, suffix: str) -> Iterator[Json]:
    for x in mark.x:
        yield {
            "type": "line",
            "xref": f"x{suffix}",
            "yref": f"y{suffix} domain",
            "x0": float(x),
            "x1": float(x),
            "y0": 0,
            "y1": 1,
            "layer": "below",
            "line": _thin(mark),
        }


def _thin(mark: Uprights) -> Json:
    return {"color": mark.colour, "width": 1, "dash": "dot"}


def _cells(mark: Cells, domain: Sequence[float]) -> Json:
    low, high = mark.scale[0][0], mark.scale[-1][0]
    span = (high - low) or 1.0
    return {
        "type": "heatmap",
        "x": _array(mark.x),
        "y": _array(mark.y),
        "z": [[None if np.isnan(value) else round(float(value), 6) for value in row] for row in mark.values],
        "zmin": low,
        "zmax": high if high > low else low + 1.0,
        "colorscale": [[(value - low) / span, colour] for value, colour in mark.scale] if high > low else "Blues",
        "colorbar": {
            "title": {"text": text(mark.name), "side": "right"},
            "y": (domain[0] + domain[1]) / 2,
            "len": domain[1] - domain[0],
            "thickness": 14,
        },
        "xgap": 1,
        "ygap": 1,
        "hoverongaps": False,
        "text": [[text(note) for note in row] for row in mark.notes],
        "hovertemplate": "%{text}<extra></extra>",
    }


_DRAWERS: dict[type, Callable[[Any], Iterator[Json]]] = {
    Line: _line,
    Band: _band,
    Bars: _bars,
    Points: _points,
    Uprights: _uprights_legend,
}


def _scatter(x: Values, y: Values, name: str) -> Json:
    return {"type": "scatter", "x": _array(x), "y": _array(y), "name": text(name), "showlegend": bool(name)}


def _notes(notes: Sequence[str]) -> Json:
    if not notes:
        return {}
    return {"customdata": [text(note) for note in notes], "hovertemplate": "%{customdata}<extra></extra>"}


def _array(values: Values) -> Json:
    """Numbers as base64-encoded float32, which plotly.js reads: a third of their size as text."""
    data = np.asarray(values, "<f4").tobytes()
    return {"dtype": "f4", "bdata": base64.b64encode(data).decode()}


def _tint(colour: str) -> str:
    """`colour` that others show through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.25)"

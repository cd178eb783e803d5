# SPDX-License-Identifier: Apache-2.0
"""Description of a chart, independent of the drawing library: panels one below the other, with marks on two axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]

ColourScale: TypeAlias = tuple[tuple[float, str], ...]
"""Colour scale: pairs of a value and its colour (#rrggbb), ascending; colours between them are interpolated."""

PAPER, INK, GRID = "#ffffff", "#24303c", "#dfe4e8"
"""Colours of the background, of text and of grid lines."""

BLUE, ORANGE, GREEN, PURPLE, RED, GREY = "#2f6fb0", "#d9822b", "#3a8f5c", "#8257a5", "#c23b3b", "#8a949e"
"""Colours of marks, of different lightness, so that colour-blind readers tell them apart."""


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        title: what it measures, with its unit.
        ticks: positions with labels, in place of numbers.
        limits: what is shown at first; everything by default.
        lined: whether lines run across the panel at the ticks.
    """

    title: str
    ticks: tuple[tuple[float, str], ...] = ()
    limits: tuple[float, float] | None = None
    lined: bool = True


@dataclass(frozen=True, eq=False)
class Line:
    """A line through points; `filled`: the area below is tinted."""

    x: Values
    y: Values
    name: str
    colour: str
    dashed: bool = False
    filled: bool = False


@dataclass(frozen=True, eq=False)
class Band:
    """The area between two lines."""

    x: Values
    low: Values
    high: Values
    name: str
    colour: str


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars from zero; `texts` are labels above the bars, `notes` are shown on hovering."""

    x: Values
    height: Values
    name: str
    colour: str
    width: float = 0.8
    texts: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Points:
    """Markers, short vertical strokes if `upright`; `texts` are labels above them, `notes` are shown on hovering."""

    x: Values
    y: Values
    name: str
    colour: str
    upright: bool = False
    texts: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Uprights:
    """Vertical lines through the whole panel."""

    x: Values
    name: str
    colour: str


@dataclass(frozen=True, eq=False)
class Cells:
    """A table of coloured cells.

    Attributes:
        x: columns.
        y: rows.
        values: [rows, columns]; NaN leaves a cell empty.
        name: what the colours measure, with its unit.
        scale: their colours.
        notes: [rows][columns], texts that are shown on hovering.
    """

    x: Values
    y: Values
    values: Values
    name: str
    scale: ColourScale
    notes: Sequence[Sequence[str]]


Mark: TypeAlias = "Line | Band | Bars | Points | Uprights | Cells"


@dataclass(frozen=True)
class Panel:
    """Marks on a pair of axes; `share` is its part of the chart's height."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    share: float = 1.0


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        key: short name, for files and anchors.
        title: title of the chart.
        caption: how to read the chart, in full sentences.
        panels: from top to bottom, over one x axis.
        height: in pixels of a page.
    """

    key: str
    title: str
    caption: str
    panels: tuple[Panel, ...] = field(default=())
    height: int = 360


def colour_at(scale: ColourScale, value: float) -> str:
    """The colour of `value` as #rrggbb; values outside the scale have the colour of its nearer end."""
    stops = [stop for stop, _ in scale]
    channels = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for _, colour in scale])
    mixed = [round(float(np.interp(value, stops, channel))) for channel in channels.T]
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def numbered(count: int) -> tuple[float, float]:
    """Limits of an axis on which things are numbered from 1."""
    return 0.0, count + 1.0

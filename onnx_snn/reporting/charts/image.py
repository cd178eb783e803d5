# SPDX-License-Identifier: Apache-2.0
"""Charts as PNG files, drawn by matplotlib, for papers and slides."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnx_snn.errors import OutputError
from onnx_snn.output_files import staged
from onnx_snn.reporting.charts.chart import GRID, INK, Axis, Band, Bars, Cells, Chart, Line, Mark, Points, Uprights
from onnx_snn.reporting.charts.required import required

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, PIXELS_AN_INCH, DOTS_AN_INCH = 10.0, 100, 200
"""Size of pictures: width in inches, chart height in page pixels per inch, and resolution in dots per inch."""

STYLE = {
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "font.size": 9,
}


def write_charts(charts: Iterable[Chart], folder: str | Path) -> list[Path]:
    """Write `<key>.png` of every chart to `folder`, which is made where it does not exist.

    Raises:
        ConfigError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    required("matplotlib")
    check_folder(folder)
    files = []
    try:
        Path(folder).mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder '{folder}' cannot be made: {error}") from error
    for chart in charts:
        files.append(Path(folder) / f"{chart.key}.png")
        write_chart(chart, files[-1])
    return files


def write_chart(chart: Chart, path: str | Path) -> None:
    """Write one chart; the suffix of the path tells the format of the picture.

    Raises:
        ConfigError: matplotlib is not installed.
        OutputError: the file cannot be written, or matplotlib has no such format.
    """
    matplotlib = required("matplotlib")
    with matplotlib.rc_context(STYLE), staged(path) as temporary:
        try:
            draw(chart).savefig(temporary, dpi=DOTS_AN_INCH)
        except ValueError as error:
            raise OutputError(f"cannot write the picture '{path}': {error}") from error


def check_folder(folder: str | Path) -> None:
    """Refuse a folder that neither exists nor can be made.

    Raises:
        OutputError: it is a file, or the folder in which it should be made does not exist.
    """
    if Path(folder).exists() and not Path(folder).is_dir():
        raise OutputError(f"pictures go to a folder, but '{folder}' is a file; name another one")
    if not Path(folder).absolute().parent.is_dir():
        raise OutputError(f"folder '{Path(folder).absolute().parent}' does not exist; create it first")


def draw(chart: Chart) -> Figure:
    """`chart` as a figure of matplotlib, without a window."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, chart.height / PIXELS_AN_INCH + 0.5), layout="constrained")
    figure.suptitle(plain("\n".join(textwrap.wrap(chart.title, 110))), fontsize=11)
    shares = [panel.share for panel in chart.panels]
    grid = figure.subplots(len(shares), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": shares})
    for panel, axes in zip(chart.panels, grid[:, 0], strict=True):
        for mark in panel.marks:
            _mark(axes, mark)
        _set_axis(axes, "y", panel.y, titled=True)
        _set_axis(axes, "x", panel.x, titled=panel is chart.panels[-1])
        handles, labels = axes.get_legend_handles_labels()
        if len(handles) > 1:
            axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    return figure


def plain(words: str) -> str:
    """`words` so that matplotlib shows them as they are: a dollar sign begins no formula."""
    return words.replace("$", r"\$")


def _mark(axes: Axes, mark: Mark) -> None:
    name = plain(getattr(mark, "name", "")) or "_"
    if isinstance(mark, Line):
        axes.plot(mark.x, mark.y, "--" if mark.dashed else "-", color=mark.colour, label=name)
        if mark.filled:
            axes.fill_between(mark.x, mark.y, color=mark.colour, alpha=0.25)
    elif isinstance(mark, Band):
        axes.fill_between(mark.x, mark.low, mark.high, color=mark.colour, alpha=0.5, label=name)
    elif isinstance(mark, Bars):
        drawn = axes.bar(mark.x, mark.height, mark.width, color=mark.colour, label=name)
        if mark.texts:
            axes.bar_label(drawn, [plain(words) for words in mark.texts], fontsize=8)
    elif isinstance(mark, Points):
        axes.plot(mark.x, mark.y, "|" if mark.upright else "o", color=mark.colour, markersize=5, label=name)
        for x, y, words in zip(mark.x, mark.y, mark.texts, strict=False):
            axes.annotate(plain(words), (x, y), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
    elif isinstance(mark, Uprights):
        for i, x in enumerate(mark.x):
            axes.axvline(x, color=mark.colour, linewidth=0.7, linestyle=":", zorder=0, label="_" if i else name)
    else:
        _cells(axes, mark)


def _cells(axes: Axes, mark: Cells) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    low, high = mark.scale[0][0], mark.scale[-1][0]
    span = (high - low) or 1.0
    stops: list[Any] = [((value - low) / span, colour) for value, colour in mark.scale]
    colours = LinearSegmentedColormap.from_list("scale", stops if high > low else ["#ffffff", "#ffffff"])
    drawn = axes.pcolormesh(mark.x, mark.y, np.ma.masked_invalid(mark.values), cmap=colours, vmin=low, vmax=high)
    axes.grid(visible=False)
    assert axes.figure is not None, "axes lie in a figure"
    axes.figure.colorbar(drawn, ax=axes, label=plain(mark.name))


def _set_axis(axes: Axes, which: str, axis: Axis, *, titled: bool) -> None:
    if not axis.lined:
        axes.grid(visible=False, axis="x" if which == "x" else "y")
    if titled:
        axes.set(**{f"{which}label": plain(axis.title)})
    if axis.ticks:
        positions, labels = zip(*axis.ticks, strict=True)
        axes.set(**{f"{which}ticks": positions, f"{which}ticklabels": [plain(label) for label in labels]})
    if axis.limits:
        axes.set(**{f"{which}lim": axis.limits})

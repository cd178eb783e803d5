# SPDX-License-Identifier: Apache-2.0
"""Charts of the loss of converted files of one original, against their time steps and their spikes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from onnx_snn.evaluation.metrics import METRICS
from onnx_snn.reporting.charts.chart import BLUE, GREY, ORANGE, Axis, Chart, Line, Panel, Points, Values
from onnx_snn.reporting.views import Candidate, Survey

TIMESTEPS = "time steps T"

_SCALES: tuple[tuple[str, str, str, Callable[[Candidate], float]], ...] = (
    ("loss-by-timesteps", "Loss against time steps", TIMESTEPS, lambda candidate: float(candidate.timesteps)),
    ("loss-by-spikes", "Loss against spikes", "spikes of one sample, millions", lambda c: c.spikes * 1e-6),
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
            "Every point is a converted file; the best ones have a small loss with few "
            + ("steps. " if key == "loss-by-timesteps" else "spikes. ")
            + _metric_in_words(survey.spiking.evaluation.metric)
            + (more if alone else ""),
            tuple(_loss_panels(survey.candidates, axis, value)),
            height=440 if survey.spiking.evaluation.metric else 320,
        )


def in_percent(metric: str) -> bool:
    """Whether a task metric is read in percent."""
    return metric in METRICS and METRICS[metric].percent


def _metric_in_words(metric: str) -> str:
    """What the lower panel shows."""
    if not metric:
        return "The data has no labels, so there is no task metric."
    meanings = {"accuracy": "accuracy", "perplexity": "perplexity, where lower is better"}
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

# SPDX-License-Identifier: Apache-2.0
"""docs/measurements/paper-tables.md from the rows that benchmarks/paper_tables.py measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import onnxruntime as ort
from function_error import domain_of
from published import (
    COUNTERPARTS,
    FITS,
    OURS,
    PAPER,
    PUBLISHED_ENERGY,
    PUBLISHED_SPIKES,
    SETTINGS,
    SHOWN,
    Row,
    setting_of,
)

from onnx_snn.neurons.functions import get
from onnx_snn.profiling.energy import RULES

COMMAND = "python benchmarks/paper_tables.py"


def page(results: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """docs/measurements/paper-tables.md, line by line."""
    samples = sorted({row["samples"] for row in results["networks"]})
    counted = sorted({row["profile_samples"] for row in results["networks"]})
    yield "# Beside the published tables"
    yield ""
    yield f"Written by `{COMMAND}`, onnxruntime {ort.__version__}; do not edit. Published: arXiv 2508.07710, of larger"
    yield "networks on other data; *paper*: its neuron, fitted by us and used in the same networks as ours (preset"
    yield "`paper`); **ours**: the default. Networks: those of `models/`, scope full, test data that calibration never"
    yield f"saw; losses on {_range(samples)} samples, spikes and energy on {_range(counted)}."
    yield ""
    yield "## Error of functions"
    yield ""
    yield "Mean squared error over the published domain, by bases N."
    yield ""
    yield from functions_table(results["functions"])
    yield ""
    yield "## Loss by time steps"
    yield ""
    yield "Relative to the original network's metric; a negative loss is a gain."
    yield ""
    yield from loss_table(results["networks"])
    yield ""
    yield "## Error of the output by time steps"
    yield ""
    yield "Frobenius norm of the difference over that of the original's output: finer than a metric of few samples."
    yield ""
    yield from error_table(results["networks"])
    yield ""
    yield "## Spikes per element"
    yield ""
    yield "Mean over all elements that pass through neurons of the kind. PASN is the published follow-up that fires"
    yield "least. A dash: not published, or the network has no such neuron. Of tuned networks: [tuning.md](tuning.md)."
    yield ""
    yield from spikes_table(results["networks"])
    yield ""
    yield "## Energy of the spiking network over that of the original"
    yield ""
    yield f"Published for ViT-M/16 at T=16: {PUBLISHED_ENERGY:.2%}, by the accumulate-only rule. A count of operations"
    yield "times a cost of each, by rules that count the same operations of both networks:"
    yield ""
    for rule in RULES:
        yield f"- *{rule.name}*: `{rule.formula}` ({rule.source})."
    yield ""
    yield from energy_table(results["networks"])


def functions_table(rows: Sequence[Row]) -> Iterator[str]:
    """Errors of functions, as Markdown."""
    labels = [_label(preset, steps) for preset, steps in FITS]
    cells = [
        (
            domain_of(get(row["function"])),
            str(row["bases"]),
            f"{row['published']:.1e}",
            *(f"{row[setting_of(preset, steps)]:.1e}" for preset, steps in FITS),
        )
        for row in rows
    ]
    yield from markdown(("function", "N", "published, T=16", *labels), cells)


def loss_table(rows: Sequence[Row]) -> Iterator[str]:
    """Losses by time steps, as Markdown."""
    losses = {(row["model"], row["preset"], row["timesteps"]): row["relative_loss"] for row in rows}
    steps = sorted({steps for _, steps in SETTINGS}, reverse=True)
    cells = []
    for model in dict.fromkeys(row["model"] for row in rows):
        counterpart = COUNTERPARTS[model]
        first = next(row for row in rows if row["model"] == model)
        published = (_percent(counterpart.loss(t)) for t in steps)
        cells.append((f"*published:* {counterpart.name}", f"{counterpart.original:g}", *published))
        for preset, label in ((PAPER, "*paper*"), (OURS, "**ours**")):
            measured = (_percent(losses.get((model, preset, t))) for t in steps)
            cells.append((f"{model}, {label}", _metric(first), *measured))
    yield from markdown(("network", "original", *(f"T={t}" for t in steps)), cells)


def error_table(rows: Sequence[Row]) -> Iterator[str]:
    """Errors of the output by time steps, as Markdown."""
    errors = {(row["model"], row["preset"], row["timesteps"]): row["relative_error"] for row in rows}
    steps = sorted({steps for _, steps in SETTINGS}, reverse=True)
    cells = [
        (f"{model}, {label}", *(_percent(errors.get((model, preset, t))) for t in steps))
        for model in dict.fromkeys(row["model"] for row in rows)
        for preset, label in ((PAPER, "*paper*"), (OURS, "**ours**"))
    ]
    yield from markdown(("network", *(f"T={t}" for t in steps)), cells)


def spikes_table(rows: Sequence[Row]) -> Iterator[str]:
    """Spikes by operator, as Markdown."""
    found = {(row["model"], row["preset"], row["timesteps"]): row["spikes_per_element"] for row in rows}
    models = list(dict.fromkeys(row["model"] for row in rows))
    names = [*PUBLISHED_SPIKES, *dict.fromkeys(n for s in found.values() for n in s if n not in PUBLISHED_SPIKES)]
    cells = []
    for name in names:
        published, follow_up = PUBLISHED_SPIKES.get(name, (None, None))
        for model in models:
            spikes = [found.get((model, preset, steps), {}).get(name) for preset, steps in SHOWN]
            if any(value is not None for value in spikes):
                cells.append((name, model, _spikes(published), _spikes(follow_up), *map(_spikes, spikes)))
    labels = [_label(preset, steps) for preset, steps in SHOWN]
    yield from markdown(("neuron", "network", "published, T=16", "PASN, T=16", *labels), cells)


def energy_table(rows: Sequence[Row]) -> Iterator[str]:
    """Energy by rule, as Markdown."""
    found = {(row["model"], row["preset"], row["timesteps"]): row["energy"] for row in rows}
    cells = []
    for model in dict.fromkeys(row["model"] for row in rows):
        for rule in RULES:
            ratios = [found.get((model, preset, steps), {}).get(rule.name) for preset, steps in SHOWN]
            cells.append((model, rule.name, *(_percent(ratio, 1) for ratio in ratios)))
    yield from markdown(("network", "rule", *(_label(preset, steps) for preset, steps in SHOWN)), cells)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown, line by line."""
    yield f"| {' | '.join(header)} |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _label(preset: str, timesteps: int) -> str:
    return f"{'*paper*' if preset == PAPER else '**ours**'}, T={timesteps}"


def _metric(row: Row) -> str:
    return _percent(row["original"]) if row["metric"] == "accuracy" else f"{row['original']:.2f}"


def _percent(share: float | None, digits: int = 2) -> str:
    if share is None or math.isnan(share):
        return "–"
    return f"{100 * share:.{digits}f} %" if abs(share) < 100 else f"{share:.0f} times"


def _spikes(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _range(numbers: Sequence[int]) -> str:
    return "no" if not numbers else str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"

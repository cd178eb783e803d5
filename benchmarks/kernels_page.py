# SPDX-License-Identifier: Apache-2.0
"""docs/measurements/kernels.md from what benchmarks/kernels.py measured."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from kernel_models import CHANNELS, Variant
from measurement import machine_in_words

from onnx_snn.formatting import table
from onnx_snn.neurons.opset import Body


def page(results: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    machine = results["machine"]
    exact = pivot(results["exact"], ("spiking", "exact", "length", "timesteps"), "exact")
    neurons = pivot(results["neurons"], ("bases", "timesteps", *Variant._fields), "copy")
    steps = pivot(results["steps"], ("bases", "timesteps", "scaled", "metered"), "copy")
    return (
        "# Speed of the kernels\n\n"
        "Written by `python benchmarks/kernels.py`; do not edit. A cell holds billions of elements a second at the\n"
        "median time and, in parentheses, the time over that of what is compared: median over the pairs of runs, and\n"
        "fastest run over fastest run.\n\n"
        f"Machine: {machine_in_words(machine)}.\nKernels: {machine['kernels']}. "
        f"Times are {'of the processor' if machine['processor_time'] else 'of the clock'}.\n\n"
        "## Beside the exact ops\n\n"
        "Rows are of the length given; N is what a conversion chooses.\n\n"
        f"```text\n{exact}\n```\n\n"
        "## MbeNeuron beside a copy\n\n"
        "The copy is NumPy's on one thread. On two it is onnxruntime's Relu, which reads and writes as much on the\n"
        f"same threads. Scales are one for each of {CHANNELS} channels.\n\n"
        f"```text\n{neurons}\n```\n\n"
        "## Step codes beside a copy\n\n"
        "Codes of signed values whose step sizes decay by 0.7, one segment for each basis; with several bases they\n"
        "have a gate.\n\n"
        f"```text\n{steps}\n```\n\n"
        "## MbeNeuron beside its portable functions\n\n"
        "How many times as long the function in the file takes in onnxruntime without the library, by its form.\n"
        f"{results['portable'][0]['size']:,} elements, the same bits.\n\n"
        f"```text\n{portable_table(results['portable'])}\n```\n"
    )


def pivot(rows: Sequence[dict[str, Any]], keys: Sequence[str], compared: str) -> str:
    """Rows by `keys`, with a column for each number of threads and size."""
    columns = list(itertools.product(_threads_of(rows), dict.fromkeys(row["size"] for row in rows)))
    lines: dict[tuple[Any, ...], dict[tuple[int, int], str]] = {}
    for row in rows:
        quotient = row["ratios"][compared]
        cell = f"{row['billions_per_second']:.2f} ({quotient['median']:.1f}, {quotient['fastest']:.1f})"
        lines.setdefault(tuple(row[key] for key in keys), {})[row["threads"], row["size"]] = cell
    header = [
        *keys,
        *(f"{threads} thread{'s' * (threads > 1)}, 2^{size.bit_length() - 1}" for threads, size in columns),
    ]
    return table(header, [(*map(_text, key), *(cells[column] for column in columns)) for key, cells in lines.items()])


def portable_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows by N and T, with a column for each number of threads and form."""
    columns = list(itertools.product(_threads_of(rows), (body.value for body in Body)))
    lines: dict[tuple[int, int], dict[tuple[int, str], str]] = {}
    for row in rows:
        cells = lines.setdefault((row["bases"], row["timesteps"]), {})
        cells |= {(row["threads"], body): f"{times['median']:.0f}" for body, times in row["ratios"].items()}
    header = ["N", "T", *(f"{body}, {threads} thread{'s' * (threads > 1)}" for threads, body in columns)]
    return table(header, [(*map(str, key), *(cells[column] for column in columns)) for key, cells in lines.items()])


def _threads_of(rows: Sequence[dict[str, Any]]) -> list[int]:
    return list(dict.fromkeys(row["threads"] for row in rows))


def _text(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)

# SPDX-License-Identifier: Apache-2.0
"""docs/measurements/latency.md from the rows that benchmarks/latency.py measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from measurement import machine_in_words

from onnx_snn.formatting import table

HEADER = (
    *("network", "batch", "tokens", "past", "T", "scope", "max error", "kernels"),
    *("ANN, ms", "SNN / ANN", "quartiles", "of fastest runs"),
)
PROFILE_HEADER = ("op type", "ANN, ms", "nodes", "SNN, ms", "nodes", "difference, ms")

SMALLEST_SHARE = 0.005
"""Smallest fraction of a network's time for which an op type has its own line in a profile; others share one line."""


def key_of(row: dict[str, Any]) -> str:
    """Network, shape of the run, conversion and kernels of a row: the key under which it is kept."""
    shape = f"batch={row['batch']} tokens={row['tokens']} past={row['past']}"
    return f"{row['network']} {shape} T={row['timesteps']} {row['scope']} {_max_error(row)} {row['kernels']}"


def page(machine: dict[str, Any], names: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """The measurements as Markdown, in the order of the networks `names`."""
    ordered = sorted(rows, key=lambda row: _position(row, names))
    waiting = "threads that sleep while they wait" if machine["passive"] else "one pool of threads for both"
    sections = "".join(
        f"\n## {key_of(row)}\n\n```text\n{profile_table(row['profile'])}\n```\n" for row in ordered if "profile" in row
    )
    return (
        "# Latency of converted networks\n\n"
        "Written by `python benchmarks/latency.py`; do not edit. Time of one run of the converted network (SNN) over\n"
        "that of the original (ANN): both in onnxruntime with its default optimisation, taking turns in one process.\n"
        "The ratio is the median over the pairs of runs, with its quartiles; then comes that of the fastest runs.\n"
        "With a past, a run is one step of decoding. With a larger `max error` than the default, neurons are as\n"
        "`tune` finds them: codes with few spikes at nearly every site.\n\n"
        f"Machine: {machine_in_words(machine)}.\n"
        f"{machine['threads']} threads, {waiting}. "
        f"Times are {'of the processor, all threads together' if machine['processor_time'] else 'of the clock'}.\n\n"
        f"```text\n{table(HEADER, map(_cells, ordered))}\n```\n" + _PROFILES * bool(sections) + sections
    )


_PROFILES = (
    "\n# Where the time goes\n\n"
    "Milliseconds of the nodes of each type in onnxruntime's profile, after its optimisation: the median of each node\n"
    "over the runs, summed.\n"
)


def _position(row: dict[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    conversion = row["scope"] != "nonlinear", row["max_error"] or 0.0, row["timesteps"]
    return row["kernels"], names.index(row["network"]), conversion


def _max_error(row: dict[str, Any]) -> str:
    return "default" if row["max_error"] is None else str(row["max_error"])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    lower, upper = row["quartiles"]
    return (
        row["network"],
        str(row["batch"]),
        str(row["tokens"] or ""),
        str(row["past"] or ""),
        str(row["timesteps"]),
        row["scope"],
        _max_error(row),
        row["kernels"],
        f"{row['ann_ms']:.1f}",
        f"{row['median']:.2f}",
        f"{lower:.2f} - {upper:.2f}",
        f"{row['fastest']:.2f}",
    )


def profile_table(profile: dict[str, dict[str, Any]]) -> str:
    """Op types by what they cost more in the spiking network; those that cost next to nothing in one line."""
    nothing = {"ms": 0.0, "nodes": 0}
    types = {name: [profile[which].get(name, nothing) for which in ("ann", "snn")] for name in _op_types(profile)}
    total = sum(entry["ms"] for entry in profile["ann"].values())
    large = [name for name, entries in types.items() if max(entry["ms"] for entry in entries) >= SMALLEST_SHARE * total]
    large.sort(key=lambda name: types[name][0]["ms"] - types[name][1]["ms"])
    small = [name for name in types if name not in large]
    lines = [(name, types[name]) for name in large]
    lines += [("others", _sum(types[name] for name in small)), ("all", _sum(types.values()))]
    return table(PROFILE_HEADER, (_profile_cells(name, *entries) for name, entries in lines))


def _op_types(profile: dict[str, dict[str, Any]]) -> list[str]:
    return sorted(profile["ann"].keys() | profile["snn"].keys())


def _sum(entries: Any) -> list[dict[str, Any]]:
    columns = zip(*entries, strict=True)
    return [{key: sum(entry[key] for entry in column) for key in ("ms", "nodes")} for column in columns]


def _profile_cells(name: str, ann: dict[str, Any], snn: dict[str, Any]) -> tuple[str, ...]:
    difference = snn["ms"] - ann["ms"]
    return name, f"{ann['ms']:.2f}", str(ann["nodes"]), f"{snn['ms']:.2f}", str(snn["nodes"]), f"{difference:+.2f}"

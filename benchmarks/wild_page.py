# SPDX-License-Identifier: Apache-2.0
"""The page docs/measurements/wild.md: what became of the networks that packages carry."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from onnx_snn.formatting import table

CLASSES = ("converted", "linear", "exact", "steering", "kept", "refused")

ABOUT = """# Networks from packages

Written by `python benchmarks/wild.py` with onnx {onnx} and onnxruntime {onnxruntime}; do not edit. The .onnx files of
{packages} packages (those of `benchmarks/wild-packages.txt` without a row were not run), converted with default
settings, calibrated with at most 12 feeds and measured on at most 8 others. The feeds are those of the packages
themselves on seeded samples (`benchmarks/wild_samples.py`): drawn text, small photographs, synthetic sounds, files of
this repository. Energy is of the original's, by the accumulate-only rule. Products are those with weights:
accumulate-only, and all. Task is what the package decides from the outputs (`benchmarks/wild_tasks.py`): the number
of test feeds on which it is equal, and of all."""

NODES = """Every node of a file is in one class; functions and fused operators count as they are written out. *Linear* \
includes
movement, *exact* are comparisons and selections, *steering* computes no activation."""


def page(results: Sequence[Any]) -> str:
    """The measurements as Markdown; `results` are those of `wild.py`, in order of the packages."""
    converted = [result for result in results if result.conversions]
    packages = len({result.package for result in results})
    versions = {name: version(name) for name in ("onnx", "onnxruntime")}
    parts = [
        ABOUT.format(packages=packages, **versions),
        _summary(results),
        "## Error, task and energy",
        _fenced(_ERROR_HEADER, [_errors(result) for result in converted]),
        "## Nodes by class",
        NODES,
        _fenced(("file", *CLASSES), [(_name(result), *_counts(result)) for result in converted]),
    ]
    refused = [(reason, str(count)) for reason, count in _reasons(converted)]
    if refused:
        parts += ["## Refused, with the number of nodes", _fenced(("kind and reason", "nodes"), refused)]
    others = [(_name(result), result.message.split("\n")[0][:240]) for result in results if result.message]
    if others:
        parts += ["## Not converted", _fenced(("file", "message"), others)]
    same = [(_name(result), result.same.split("/")[-1]) for result in results if result.same]
    if same:
        parts += ["## Files that packages hold more than once", _fenced(("file", "the same as"), same)]
    return "\n\n".join(parts) + "\n"


_ERROR_HEADER = (
    "package",
    "file",
    "opset",
    "products",
    "error T=8",
    "T=4",
    "task",
    "equal T=8",
    "T=4",
    "energy T=8",
    "T=4",
    "bits",
)


def _summary(results: Sequence[Any]) -> str:
    converted = [result for result in results if result.conversions]
    found = [conversion for result in converted for conversion in result.conversions.values()]
    equal = sum(conversion.bits for conversion in found)
    crashes = sum(result.message.startswith("CRASH") for result in results)
    return (
        f"Of {len(results)} files {sum(bool(result.same) for result in results)} are copies of others and "
        f"{len(converted)} were converted; {crashes} ended with an error that\nonnx-snn did not foresee. "
        f"{equal} of {len(found)} conversions have the same bits with and without the kernels."
    )


def _name(result: Any) -> str:
    return "/".join(result.file.split("/")[-3:])[-48:]


def _errors(result: Any) -> tuple[str, ...]:
    both = [result.conversions.get(timesteps) for timesteps in (8, 4)]
    return (
        result.package,
        "/".join(result.file.split("/")[-2:])[-40:],
        str(result.opset),
        "{} of {}".format(*result.products),
        *(_figure(each and each.error, ".1e") for each in both),
        result.task,
        *(f"{sum(each.task)} of {len(each.task)}" if each and each.task else "" for each in both),
        *(_figure(each and each.energy, ".0%") for each in both),
        "equal" if all(each.bits for each in both if each) else "UNEQUAL",
    )


def _figure(value: float | None, pattern: str) -> str:
    return "" if value is None else format(value, pattern)


def _counts(result: Any) -> list[str]:
    return [str(result.classes.get(name, 0)) for name in CLASSES]


def _reasons(results: Sequence[Any]) -> list[tuple[str, int]]:
    reasons: dict[str, int] = {}
    for result in results:
        for reason, count in result.refused.items():
            reasons[reason] = reasons.get(reason, 0) + count
    return sorted(reasons.items(), key=lambda item: -item[1])


def _fenced(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return f"```text\n{table(header, rows)}\n```"

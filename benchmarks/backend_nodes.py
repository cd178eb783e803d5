# SPDX-License-Identifier: Apache-2.0
"""Conversion of the node tests of ONNX, each with its own inputs; writes docs/measurements/backend-nodes.md.

    python benchmarks/backend_nodes.py
    python benchmarks/backend_nodes.py --only 'test_softmax.*' --output /tmp/softmax.md

Every test is a network of one operator (or of the function that defines it), which the onnx package generates. It is
converted with its own inputs as calibration data and neurons by rule (`fast`), and runs with and without the kernels.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

import onnx_snn
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.formatting import table
from onnx_snn.runtime.execution import run

TIMESTEPS = 8
LARGE_ERROR = 0.02
"""Relative error of an output from which a converted test is listed."""

CONVERTED, LINEAR, REFUSED = "converted", "nothing nonlinear", "refused"
UNRUNNABLE, ABORTED, CRASHED = "onnxruntime cannot run the original", "aborted", "crash"
OUTCOMES = {
    CONVERTED: "at least one node is spiking",
    LINEAR: "no operator that is nonlinear in an activation, and no product",
    REFUSED: "no nonlinear node can be converted; the report says why",
    UNRUNNABLE: "no kernel, or other inputs than tensors",
    ABORTED: "an error of onnx-snn for another reason",
    CRASHED: "an error that onnx-snn did not foresee",
}

NOTHING = "nothing can be converted: "
NO_OPERATOR = "it has no nonlinear operator"


@dataclass(frozen=True)
class Result:
    """What became of one test.

    Attributes:
        operator: the operator that it tests.
        outcome: one of `OUTCOMES`.
        reason: the message, for all but converted tests.
        equal: whether its outputs have the same bits with and without the kernels; None where it is not converted.
        error: largest relative error of an output at T=8; None where it is not converted.
    """

    operator: str
    outcome: str
    reason: str = ""
    equal: bool | None = None
    error: float | None = None


def cases() -> list[Any]:
    """The node tests of the installed onnx package; making them takes seconds."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return [case for case in collect_testcases(None) if case.model is not None]


def operator_of(model: onnx.ModelProto) -> str:
    """The operator of the first node that is no constant."""
    nodes = [node for node in model.graph.node if node.op_type != "Constant"]
    return nodes[0].op_type if nodes else ""


def feeds_of(case: Any) -> list[dict[str, Any]]:
    """The inputs of the data sets of a test, by name; inputs that are left out have no value."""
    names = [value.name for value in case.model.graph.input]
    return [
        {name: value for name, value in zip(names, inputs, strict=False) if value is not None}
        for inputs, _ in case.data_sets
    ]


def attempt(case: Any, folder: Path) -> Result:
    """Convert one test and run the result."""
    operator, original, spiking = operator_of(case.model), folder / "original.onnx", folder / "spiking.onnx"
    onnx.save(case.model, original)
    spiking.unlink(missing_ok=True)
    feeds = feeds_of(case)
    try:
        expected = outputs(onnx_snn.session(original, session_options=quiet(), kernels=False), feeds[0])
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        return Result(operator, UNRUNNABLE, first_line(error))
    try:
        onnx_snn.convert(original, spiking, feeds, timesteps=TIMESTEPS, fast=True, progress=False)
        with_kernels = outputs(onnx_snn.session(spiking, session_options=quiet()), feeds[0])
        without = outputs(onnx_snn.session(spiking, session_options=quiet(), kernels=False), feeds[0])
    except onnx_snn.ModelError as error:
        _, found, reasons = str(error).partition(NOTHING)
        outcome = (LINEAR if NO_OPERATOR in reasons else REFUSED) if found else ABORTED
        return Result(operator, outcome, first_line(reasons or error))
    except onnx_snn.OnnxSnnError as error:
        return Result(operator, ABORTED, first_line(error))
    except Exception as error:  # whatever it is, the other tests go on
        return Result(operator, CRASHED, f"{type(error).__name__}: {first_line(error)}")
    equal = all(with_kernels[name].tobytes() == without[name].tobytes() for name in expected)
    return Result(operator, CONVERTED, "", equal, error_of(expected, with_kernels))


def quiet() -> ort.SessionOptions:
    """Options of a small session that logs nothing."""
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return options


def outputs(session: ort.InferenceSession, feed: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of a session by name."""
    return run(session, [value.name for value in session.get_outputs()], feed)


def error_of(expected: Mapping[str, Any], got: Mapping[str, Any]) -> float:
    """Largest relative error of a floating-point output; infinite where a shape differs."""
    worst = 0.0
    for name, array in expected.items():
        if array.shape != got[name].shape:
            return float("inf")
        if array.dtype.kind == "f":
            difference = Difference()
            difference.add(array.astype(np.float64), got[name].astype(np.float64))
            worst = max(worst, difference.relative_error)
    return worst


def first_line(error: Any) -> str:
    """The first line of a message, without paths of temporary files."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"'?/[^ :']*/(original|spiking)\.onnx'?", r"\1.onnx", lines[0])[:300]


def page(results: Mapping[str, Result]) -> str:
    """The measurements as Markdown."""
    counts = Counter(result.outcome for result in results.values())
    converted = {name: result for name, result in results.items() if result.outcome == CONVERTED}
    errors = [result.error for result in converted.values() if result.error is not None]
    large = [(name, f"{error:.1e}") for name, result in converted.items() if (error := result.error or 0) > LARGE_ERROR]
    equal = sum(bool(result.equal) for result in converted.values())
    about = (
        f"Written by `python benchmarks/backend_nodes.py` with onnx {version('onnx')} and onnxruntime "
        f"{version('onnxruntime')};\ndo not edit. {len(results)} tests, T={TIMESTEPS}, neurons by rule."
    )
    summary = (
        f"Of the {len(converted)} converted ones {equal} have equal bits with and without the kernels, and "
        f"{len(errors) - len(large)}\nan error of at most {LARGE_ERROR:.0%}; the median is "
        f"{np.median(errors) if errors else 0.0:.1e}."
    )
    outcomes = [(name, str(counts[name]), OUTCOMES[name]) for name in OUTCOMES]
    parts = ["# Node tests of ONNX", about, fenced(("outcome", "tests", "meaning"), outcomes), summary]
    unequal = [(name,) for name, result in converted.items() if not result.equal]
    for title, header, rows in (
        ("Unequal bits", ("test",), unequal),
        (f"Errors above {LARGE_ERROR:.0%}", ("test", "relative error"), large),
        ("Refused, by operator", ("operator", "tests", "reason of the first"), by_operator(results, REFUSED)),
        ("Aborted", ("operator", "tests", "message of the first"), by_operator(results, ABORTED)),
        ("Crashes", ("operator", "tests", "message of the first"), by_operator(results, CRASHED)),
    ):
        if rows:
            parts += [f"## {title}", fenced(header, rows)]
    return "\n\n".join(parts) + "\n"


def by_operator(results: Mapping[str, Result], outcome: str) -> list[tuple[str, ...]]:
    """Operators with tests of one outcome, the most frequent first, with their number and the first reason."""
    found = [result for result in results.values() if result.outcome == outcome]
    first = {result.operator: result.reason for result in reversed(found)}
    counts = Counter(result.operator for result in found)
    return [(name, str(count), first[name][:110]) for name, count in counts.most_common()]


def fenced(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in a code block."""
    return f"```text\n{table(header, rows)}\n```"


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert the tests and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="REGEX", default=".*", help="names of the tests; all by default")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/backend-nodes.md"))
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases():
            if re.fullmatch(options.only, case.name):
                results[case.name] = attempt(case, Path(folder))
                print(f"{case.name}: {results[case.name].outcome} {results[case.name].reason}", flush=True)
    figures = {name: asdict(result) for name, result in results.items()}
    options.output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    options.output.write_text(page(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())

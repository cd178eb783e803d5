# SPDX-License-Identifier: Apache-2.0
"""Which families of networks are converted, through which exporters, and how close the results are.

    python tests/support.py --jobs 2

Every network of the corpus in tests/families (see tests/architectures.py) is converted in scope full at T=8 and T=4.
The result must pass onnx's checker, return the same bits with and without the kernels, and hold no nonlinear node
that the report does not name. Its error is that on inputs that calibration has not seen. With `--only`, rows of other
networks stay as they are in the JSON file beside the table, which tests/test_families.py compares with.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from corpus import CHOICE, Entry, Feeds, entries, feeds
from networks import relative_error, run

import onnx_snn
from onnx_snn import ConversionReport, Status
from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.graph.operator_lists import operators
from onnx_snn.metadata import PART_OF_KEY
from onnx_snn.neurons.opset import DOMAIN

TABLE = Path(__file__).parents[1] / "docs" / "measurements" / "supported.md"

ERROR_BOUNDS = {8: 1e-2, 4: 5e-2}
"""Largest relative error of an output, by time steps."""

CALIBRATION_BATCHES, BATCH = 8, 8
UNSEEN_SEEDS, UNSEEN_BATCH = (99, 98), 4
"""Inputs on which errors are measured; the second one for networks that take another branch then."""

NONLINEAR = operators(
    "Abs Acos Asin Atan Attention Celu Clip Cos Elu Erf Exp Gelu GroupNormalization HardSigmoid HardSwish Hardmax "
    "InstanceNormalization LRN LayerNormalization LeakyRelu Log LogSoftmax LpNormalization Max MaxPool Min Mish PRelu "
    "Pow RMSNormalization Reciprocal ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMin ReduceProd "
    "ReduceSumSquare Relu Selu Sigmoid Sin Softmax Softplus Softsign Sqrt Swish Tanh ThresholdedRelu TopK"
)
"""Operators that are nonlinear in any activation, written down apart from the rules of the converter."""

EXPORTERS = {
    "optimum": "Optimum (TorchScript)",
    "dynamo": "torch.onnx.export(dynamo=True)",
    "transformers5": "transformers.exporters",
}

Row = Mapping[str, Any]


def recognised(entry: Entry) -> dict[str, Any]:
    """How many nodes conversion finds and would convert, and its reasons to keep the others, with their number."""
    return _coverage(onnx_snn.convert(entry.load(), dry_run=True))


def converted(entry: Entry, timesteps: int) -> tuple[dict[str, Any], float]:
    """The coverage of a conversion and the largest error of its outputs, after all checks.

    Raises:
        AssertionError: a check fails.
    """
    model = entry.load()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "spiking.onnx"
        data = [feeds(model, seed=seed, batch=BATCH) for seed in range(CALIBRATION_BATCHES)]
        report = onnx_snn.convert(model, path, data, timesteps=timesteps, progress=False, fast=True)
        spiking = onnx.load(path)
        onnx.checker.check_model(spiking, full_check=True)
        silent = sorted(set(nonlinear_nodes(spiking)) - {node.name for node in report.nodes})
        assert not silent, f"nonlinear nodes are left that the report does not name: {silent}"
        chooses = any(value.name == CHOICE for value in model.graph.input)
        unseen = [feeds(model, seed=seed, batch=UNSEEN_BATCH) for seed in UNSEEN_SEEDS[: 1 + chooses]]
        return _coverage(report), max(_error(model, path, inputs) for inputs in unseen)


def nonlinear_nodes(model: onnx.ModelProto) -> Iterator[str]:
    """The names by which a report calls the nonlinear nodes of `model` that see an activation.

    Arithmetic around a neuron, on mantissas and exponents, is part of what the neuron computes.
    """
    graph = ir.from_proto(model)
    flow = ActivationFlow(graph)
    for node in graph.graph.all_nodes():
        if (
            node.domain == DOMAIN
            or PART_OF_KEY in node.metadata_props
            or not any(flow.is_activation(value) for value in node.inputs)
        ):
            continue
        divides = node.op_type == "Div" and flow.is_activation(node.inputs[1])
        if node.domain != "" or node.op_type in NONLINEAR or divides:
            yield node.name or node.outputs[0].name or ""


def _coverage(report: ConversionReport) -> dict[str, Any]:
    kept = Counter(f"{node.kind}: {node.reason}" for node in report.nodes if node.status is not Status.CONVERTED)
    counts = {"found": len(report.nodes), "converted": report.count(Status.CONVERTED)}
    return {**counts, "kept": dict(sorted(kept.items()))}


def _session(spiking: Path, *, kernels: bool) -> ort.InferenceSession:
    """A session without changes of layout: onnxruntime would fuse convolutions with other nodes where functions are."""
    options = onnx_snn.session_options(kernels=kernels)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    return onnx_snn.session(spiking, session_options=options, kernels=kernels)


def _error(original: onnx.ModelProto, spiking: Path, inputs: Feeds) -> float:
    """The largest relative error of an output, which the kernels and the functions inside the file must agree on."""
    names = [output.name for output in original.graph.output]
    by_kernels, by_functions = (
        dict(zip(names, _session(spiking, kernels=kernels).run(None, inputs), strict=True)) for kernels in (True, False)
    )
    for name in names:
        message = f"output {name!r} differs with and without the kernels"
        np.testing.assert_array_equal(by_kernels[name], by_functions[name], err_msg=message)
    expected = run(original, inputs)
    # A branch that has no use for an output may leave it empty.
    floating = (name for name in names if expected[name].size and np.issubdtype(expected[name].dtype, np.floating))
    return max(relative_error(expected[name], by_kernels[name]) for name in floating)


def page(rows: Mapping[str, Row]) -> str:
    """docs/measurements/supported.md, from the rows by the name of their entry, such as "t5.optimum.decoder"."""
    dialects: dict[str, set[str]] = defaultdict(set)
    for name in rows:
        family, dialect = name.split(".")[:2]
        dialects[family].add(dialect)
    several = sum(len(found) > 1 for found in dialects.values())
    introduction = (
        f"{len(dialects)} families of networks, {several} of them through two or more exporters. The networks are "
        "tiny, built from their configurations with random weights, and converted in scope full. *Found* are nonlinear "
        "nodes, products of activations and weight products; *error* is the relative error (Frobenius norm) of the "
        f"worst output on inputs that calibration has not seen, at most {ERROR_BOUNDS[8]:g} at T=8 and "
        f"{ERROR_BOUNDS[4]:g} at T=4. Every file passes `onnx.checker` with `full_check` and returns the same bits "
        "with and without the library."
    )
    lines = [
        "# Supported families",
        "",
        introduction,
        "",
        "Made by `python tests/support.py`, and tested by `tests/test_families.py`.",
        "",
        "| family | exporter | part | found | converted | error at T=8 | at T=4 | kept, and why |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(name, rows[name]) for name in sorted(rows)),
    ]
    return "\n".join(lines) + "\n"


def _line(name: str, row: Row) -> str:
    family, dialect, *part = name.split(".")
    errors = (f"{row['errors'][steps]:.1e}" if steps in row["errors"] else "" for steps in ("8", "4"))
    kept = "; ".join(f"{count} {reason}" for reason, count in row["kept"].items())
    cells = (family, EXPORTERS[dialect], *(part or [""]), str(row["found"]), str(row["converted"]), *errors, kept)
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine what is asked for and write the table; 1 where a network fails."""
    options = _parser().parse_args(arguments)
    file = options.output.with_suffix(".json")
    known = {entry.name: entry for entry in entries()}
    rows: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    rows = {name: row for name, row in rows.items() if name in known}
    wanted = [
        (entry, steps) for steps in options.timesteps for entry in known.values() if _asked(entry, steps, options, rows)
    ]
    failures = 0
    with ProcessPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(converted, entry, steps): (entry, steps) for entry, steps in wanted}
        for run in as_completed(runs):
            entry, steps = runs[run]
            try:
                coverage, error = run.result()
            except Exception as failure:
                failures += 1
                print(f"{entry.name}, T={steps}: {type(failure).__name__}: {failure}", file=sys.stderr, flush=True)
                continue
            errors = {**rows.get(entry.name, {}).get("errors", {}), str(steps): float(f"{error:.1e}")}
            rows[entry.name] = {**coverage, "errors": dict(sorted(errors.items()))}
            print(entry.name, f"T={steps}", coverage, f"{error:.1e}", flush=True)
            file.write_text(json.dumps(dict(sorted(rows.items())), indent=1) + "\n")
    options.output.write_text(page(rows))
    return int(failures > 0)


def _asked(entry: Entry, timesteps: int, options: argparse.Namespace, rows: dict[str, dict[str, Any]]) -> bool:
    ready = str(timesteps) in rows.get(entry.name, {}).get("errors", {})
    return (entry.family in options.only if options.only else True) and not (options.missing and ready)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="families to examine; all by default")
    parser.add_argument("--missing", action="store_true", help="examine only what the table does not hold yet")
    parser.add_argument("--timesteps", nargs="+", type=int, choices=ERROR_BOUNDS, default=list(ERROR_BOUNDS))
    parser.add_argument("--jobs", type=int, default=1, help="conversions at a time")
    parser.add_argument("--output", type=Path, default=TABLE)
    return parser


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Unrolled networks in several runtimes beside the converted file; writes docs/measurements/unrolled.md.

    python benchmarks/unrolled.py                                  # the CIFAR-10 networks of models/, T=8
    python benchmarks/unrolled.py --only resnet-cifar10 --samples 2

OpenVINO is left out where it is not installed. Networks are converted once into `--folder`, where the files stay.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

import onnx_snn
from onnx_snn.formatting import table

NETWORKS = ("resnet-cifar10", "vit-cifar10")
HEADER = ("network", "file", "runtime", "nodes", "MB", "load, s", "run, s", "difference", "equal classes")

Run = Callable[[dict[str, Any]], np.ndarray]


def in_onnxruntime(path: Path, level: str = "ORT_ENABLE_ALL") -> Run:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(None, feed)[0]


def in_reference(path: Path) -> Run:
    evaluator = ReferenceEvaluator(str(path))
    return lambda feed: evaluator.run(None, feed)[0]


def in_openvino(path: Path) -> Run:
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(str(path)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda feed: compiled(feed)[0]


def runs(converted: Path, unrolled: Path) -> Iterator[tuple[str, str, Path, Callable[[Path], Run]]]:
    """Kind of file, runtime, path, and what makes a session."""
    yield "converted", "onnxruntime", converted, in_onnxruntime
    yield "converted", "onnxruntime, not optimized", converted, lambda path: in_onnxruntime(path, "ORT_DISABLE_ALL")
    yield "unrolled", "onnxruntime", unrolled, in_onnxruntime
    yield "unrolled", "onnx ReferenceEvaluator", unrolled, in_reference
    if importlib.util.find_spec("openvino"):
        yield "unrolled", "OpenVINO, f32", unrolled, in_openvino


def rows(name: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The figures of one network; the first row is what the others are compared with."""
    options.folder.mkdir(parents=True, exist_ok=True)
    source, expected = options.models / name, None
    converted = options.folder / f"{name}-T{options.timesteps}.onnx"
    if not converted.exists():
        onnx_snn.convert(source / "model.onnx", converted, source / "calibration.npz", timesteps=options.timesteps)
    unrolled = options.folder / f"{name}-T{options.timesteps}-unrolled.onnx"
    onnx_snn.unroll(converted, unrolled)
    names = {value.name for value in onnx.load(converted).graph.input}
    with np.load(source / "test.npz") as data:
        feed = {key: data[key][: options.samples] for key in data.files if key in names}
    for kind, runtime, path, open_session in runs(converted, unrolled):
        start = time.perf_counter()
        run = open_session(path)
        loaded = time.perf_counter()
        result = run(feed)
        end = time.perf_counter()
        expected = result if expected is None else expected
        yield {
            "network": name,
            "file": kind,
            "runtime": runtime,
            "nodes": len(onnx.load(path).graph.node),
            "bytes": path.stat().st_size,
            "load": loaded - start,
            "run": end - loaded,
            "difference": float(np.linalg.norm(result - expected) / np.linalg.norm(expected)),
            "equal": float((result.argmax(-1) == expected.argmax(-1)).mean()),
        }


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One line of the page."""
    return (
        row["network"],
        row["file"],
        row["runtime"],
        str(row["nodes"]),
        f"{row['bytes'] / 1e6:.1f}",
        f"{row['load']:.1f}",
        f"{row['run']:.2f}",
        f"{row['difference']:.1e}",
        f"{row['equal']:.0%}",
    )


PAGE = """# Unrolled networks

Written by `python benchmarks/unrolled.py`; do not edit. The CIFAR-10 networks of models/, scope full, T={timesteps}, on
{samples} test samples: converted, and unrolled into standard operators with boolean tensors of spikes for all neurons.
Nodes are those of the file, the converted one's without those of its functions. The difference is the norm of that of
the logits over the norm of the logits of the first row.

Neurons have the same bits in both files. Products are sums in another order, whose float32 roundings differ; where such
a rounding crosses a threshold, the last spike of an element differs, and all that follows. The converted file itself
differs by as much from runtime to runtime: its second row is the same file without onnxruntime's optimizations of
products.

```text
{table}
```
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write the page."""
    options = _parser().parse_args(arguments)
    measured = []
    for name in options.only:
        for row in rows(name, options):
            measured.append(row)
            print("  ".join(cells(row)), flush=True)
    lines = table(HEADER, [cells(row) for row in measured])
    options.output.write_text(PAGE.format(timesteps=options.timesteps, samples=options.samples, table=lines))
    options.output.with_suffix(".json").write_text(json.dumps(measured, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--timesteps", type=int, default=8, metavar="T")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the networks are")
    parser.add_argument("--folder", type=Path, default=Path("build/replay"), help="where the files stay")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/unrolled.md"))
    return parser


if __name__ == "__main__":
    sys.exit(main())

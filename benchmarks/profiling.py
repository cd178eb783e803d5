# SPDX-License-Identifier: Apache-2.0
"""What counting costs: time of profiled runs over that of plain ones; writes docs/measurements/profiling.md.

    python benchmarks/profiling.py                          # ViT and GPT-2 of models/, T=8
    python benchmarks/profiling.py --only vit-cifar10 --threads 1

The networks of models/ are converted once into `--folder`, where the files stay. A plain run is one of the converted
file; a counted one is of the file that `--meter` makes, without its counts; a metered one gives them out; a profiled
one is what `onnx_snn.profile` does with a batch, sums included. All take turns within one process, on threads that
sleep while they wait, and a ratio is the median over the rounds. Processor time, unlike that of the clock, is little
disturbed by other load on the machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from measurement import describe_machine, instruction_set, machine_in_words, on_passive_threads, ratio, taking_turns

import onnx_snn
from onnx_snn.formatting import table
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model
from onnx_snn.neurons.opset import Body
from onnx_snn.profiling.profiler import Profiler
from onnx_snn.profiling.spike_outputs import meter

NETWORKS = ("vit-cifar10", "gpt2-war-and-peace")
TIMESTEPS = 8
KINDS = ("counted", "metered", "profiled")
HEADER = ("network", "batch", "threads", "plain, ms", *(f"{kind} / plain" for kind in KINDS))


def converted(models: Path, folder: Path, name: str) -> dict[str, Path]:
    """The spiking network without and with counts as outputs, written where they are missing."""
    files = {kind: folder / f"{name}-T{TIMESTEPS}-{kind}.onnx" for kind in ("plain", "metered")}
    folder.mkdir(parents=True, exist_ok=True)
    source = models / name
    if not files["plain"].exists():
        onnx_snn.convert(source / "model.onnx", files["plain"], source / "calibration.npz", timesteps=TIMESTEPS)
    if not files["metered"].exists():
        model = load_model(files["plain"])
        meter(model, Body.LOOP)
        save_model(model, files["metered"])
    return files


def measured(
    files: dict[str, Path], feeds: dict[str, np.ndarray[Any, Any]], threads: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Times of runs of all kinds over those of plain ones."""

    def passive() -> ort.SessionOptions:
        return on_passive_threads(onnx_snn.session_options(quiet=True), threads)

    plain, metered = (onnx_snn.session(files[kind], session_options=passive()) for kind in ("plain", "metered"))
    profiler = Profiler(load_model(files["plain"]), passive())
    results = [output.name for output in plain.get_outputs()]
    runs = {
        "plain": lambda: plain.run(None, feeds),
        "counted": lambda: metered.run(results, feeds),
        "metered": lambda: metered.run(None, feeds),
        "profiled": lambda: profiler.add(feeds),
    }
    clock = time.process_time if options.processor_time else time.perf_counter
    seconds = taking_turns(runs, options.rounds, clock)
    ratios = {kind: ratio(seconds, kind, "plain")._asdict() for kind in KINDS}
    return {"plain_ms": statistics.median(seconds["plain"]) * 1e3, **ratios}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write the table."""
    options = _parser().parse_args(arguments)
    machine = describe_machine()
    rows = []
    for row in _measure(options):
        rows.append(row)
        print("  ".join(_cells(row)), flush=True)
    page = (
        "# What counting spikes costs\n\n"
        "Written by `python benchmarks/profiling.py`; do not edit. Networks of models/ at T=8, scope full, on test\n"
        "data: time of a run that counts (counted), of one that gives out all counts too (metered), and of a batch\n"
        "of `onnx_snn.profile` (profiled), over that of a plain run of the spiking network: median over the rounds,\n"
        "and quartiles.\n\n"
        f"Machine: {machine_in_words(machine)}.\n"
        f"Kernels: {instruction_set(machine)}. "
        f"Times are {'of the processor' if options.processor_time else 'of the clock'}.\n\n"
        f"```text\n{table(HEADER, map(_cells, rows))}\n```\n"
    )
    options.output.write_text(page)
    options.output.with_suffix(".json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    return 0


def _measure(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for name in options.only:
        files = converted(options.models, options.folder, name)
        inputs = [value.name for value in onnx_snn.session(files["plain"]).get_inputs()]
        with np.load(options.models / name / "test.npz") as archive:
            samples = {key: archive[key] for key in inputs}
        for batch in options.batches:
            feeds = {key: array[:batch] for key, array in samples.items()}
            for threads in options.threads:
                row = {"network": name, "batch": batch, "threads": threads}
                yield row | measured(files, feeds, threads, options)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    ratios = []
    for kind in KINDS:
        lower, upper = row[kind]["quartiles"]
        ratios.append(f"{row[kind]['median']:.2f} ({lower:.2f} - {upper:.2f})")
    return row["network"], str(row["batch"]), str(row["threads"]), f"{row['plain_ms']:.1f}", *ratios


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8), metavar="BATCH")
    parser.add_argument("--threads", nargs="+", type=int, default=(1, 2), metavar="THREADS")
    parser.add_argument("--rounds", type=int, default=21, help="rounds a row")
    parser.add_argument("--processor-time", action="store_true", help="of the process, for a busy machine")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the networks are")
    parser.add_argument("--folder", type=Path, default=Path("build/profiling"), help="where converted networks stay")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/profiling.md"))
    return parser


if __name__ == "__main__":
    sys.exit(main())

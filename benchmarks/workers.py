# SPDX-License-Identifier: Apache-2.0
"""Time of calibration, comparison and profile with several processes over one; writes docs/measurements/workers.md.

    python benchmarks/workers.py                                   # ViT and GPT-2 of models/
    python benchmarks/workers.py --only vit-cifar10 --rounds 1 --samples 64

One process with one thread, one process with two threads and two processes with one thread each take turns. Pools are
started before, as they would be for several commands; what each worker does once, opening sessions, is in the times.
Digests say whether all results have the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from measurement import describe_machine, machine_in_words

import onnx_snn
from onnx_snn.formatting import table

NETWORKS = ("vit-cifar10", "gpt2-war-and-peace")
WORK = ("calibration", "choice", "compare", "profile")
WAYS = {"1 x 1": (1, 1), "1 x 2": (1, 2), "2 x 1": (2, 1)}
"""Number of processes and of threads of each."""

HEADER = ("network", "work", *(f"{way}, s" for way in WAYS), "1 x 1 / 2 x 1", "1 x 2 / 2 x 1", "results")


def works(network: Path, folder: Path, samples: int) -> dict[str, Callable[[Any], Any]]:
    """What is timed, by name: functions of an executor whose result is compared by its JSON or bytes."""
    original, data = network / "model.onnx", network / "calibration.npz"
    spiking = folder / f"{network.name}.onnx"
    if not spiking.exists():
        onnx_snn.convert(original, spiking, data, fast=True, progress=False)

    def convert(stage: str, executor: Any) -> Any:
        cache = folder / "calibration.npz"
        cache.unlink(missing_ok=True)
        report = onnx_snn.convert(
            original,
            folder / "converted.onnx",
            data,
            calibration_cache=cache,
            calibration_samples=samples,
            executor=executor,
            fast=stage == "calibrate",
            progress=False,
        )
        return report.seconds[stage], cache.read_bytes() + (folder / "converted.onnx").read_bytes()

    def compare(executor: Any) -> Any:
        return onnx_snn.compare(original, spiking, data, samples=samples, executor=executor, progress=False).to_json()

    def profile(executor: Any) -> Any:
        return onnx_snn.profile(spiking, data, samples=samples, executor=executor, progress=False).to_json()

    return dict(zip(WORK, (partial(convert, "calibrate"), partial(convert, "choose"), compare, profile), strict=True))


def timed(work: Callable[[Any], Any], executor: Any) -> tuple[float, str]:
    """Seconds, and the digest of the result."""
    start = time.perf_counter()
    result = work(executor)
    seconds = time.perf_counter() - start
    if isinstance(result, tuple):  # the stage alone, as the conversion goes on
        seconds, content = result
    else:
        content = json.dumps(result).encode()
    return seconds, hashlib.sha256(content).hexdigest()[:16]


def measured(name: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The figures of each kind of work on one network."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pools = {way: stack.enter_context(onnx_snn.LocalPool(processes)) for way, (processes, _) in WAYS.items()}
        executors = {way: onnx_snn.Workers(pools[way], threads=threads) for way, (_, threads) in WAYS.items()}
        found = works(options.models / name, folder, options.samples)
        for what, work in ((what, found[what]) for what in options.work):
            seconds: dict[str, list[float]] = {way: [] for way in WAYS}
            digests: dict[str, str] = {}
            for number in range(options.rounds + 1):  # the first one starts the processes
                for way, executor in executors.items():
                    took, digests[way] = timed(work, executor)
                    seconds[way] += [took] if number else []
            ratios = {
                way: statistics.median(a / b for a, b in zip(seconds[way], seconds["2 x 1"], strict=True))
                for way in ("1 x 1", "1 x 2")
            }
            medians = {way: statistics.median(values) for way, values in seconds.items()}
            yield {"network": name, "work": what, "seconds": medians, "ratios": ratios, "digests": digests}


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of the table."""
    same_threads = row["digests"]["1 x 1"] == row["digests"]["2 x 1"]
    every = len(set(row["digests"].values())) == 1
    results = "all equal" if every else "equal at 1 thread" if same_threads else "DIFFERENT"
    seconds, ratios = (tuple(f"{value:.2f}" for value in row[key].values()) for key in ("seconds", "ratios"))
    return row["network"], row["work"], *seconds, *ratios, results


def page(machine: dict[str, Any], rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> str:
    """The text of the page."""
    return (
        "# Several processes\n\n"
        "Written by `python benchmarks/workers.py`; do not edit. Seconds of work that workers share, processes x\n"
        f"threads of each, and ratios: medians over {options.rounds} rounds in which the three take turns, on\n"
        f"{options.samples} samples. Calibration and choice are these stages of a conversion. The last column\n"
        "compares the bytes of results: converted file and statistics, or all figures.\n\n"
        f"Machine: {machine_in_words(machine)}.\n\n"
        f"```text\n{table(HEADER, [cells(row) for row in rows])}\n```\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write the page."""
    options = _parser().parse_args(arguments)
    machine, rows = describe_machine(), []
    for name in options.only:
        for row in measured(name, options):
            rows.append(row)
            print("  ".join(cells(row)), flush=True)
    options.output.write_text(page(machine, rows, options))
    options.output.with_suffix(".json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--work", nargs="+", choices=WORK, default=WORK, metavar="WORK", help="what is timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the networks are")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/workers.md"))
    return parser


if __name__ == "__main__":
    sys.exit(main())

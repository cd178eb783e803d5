# SPDX-License-Identifier: Apache-2.0
"""Latency of converted networks over that of their originals, in onnxruntime; writes docs/measurements/latency.md.

    python benchmarks/latency.py                                              # all networks, T and scopes
    python benchmarks/latency.py --only gpt2 --timesteps 8 --profile          # and where the time goes
    python benchmarks/latency.py --timesteps 16 --scopes full --max-error 0.05        # with fewer spikes
    ONNX_SNN_ISA=avx2 python benchmarks/latency.py                            # kernels of another instruction set

Networks come from benchmarks/networks.py. Each is converted once into `--folder`, where the file stays: delete it to
convert anew. The two sessions take turns within one process, both with onnxruntime's default optimisation, on one pool
of threads (benchmarks/measurement.py says why), and a ratio is the median over the pairs. Rows that are not measured
stay as they are in the JSON file beside the table. A larger `--max-error` than the default gives neurons as `tune`
finds them: codes with few spikes at nearly every site.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import onnxruntime as ort
from latency_page import key_of, page, profile_table
from measurement import (
    describe_machine,
    instruction_set,
    on_passive_threads,
    on_shared_threads,
    ratio,
    share_threads,
    taking_turns,
)
from networks import build

import onnx_snn

Feeds: TypeAlias = dict[str, np.ndarray[Any, Any]]
Sessions: TypeAlias = dict[str, ort.InferenceSession]

TIMESTEPS = (4, 8, 16)
SCOPES = ("nonlinear", "full")
PROFILED_ROUNDS = 5


class Workload(NamedTuple):
    """Shape of one run; an image has no tokens to choose."""

    batch: int
    tokens: int | None = None
    past: int = 0


CONTEXTS = (Workload(1, 128), Workload(8, 128), Workload(1, 512))
WORKLOADS = {
    "vit-base": (Workload(1), Workload(8)),
    "roberta-base": CONTEXTS,
    "gpt2": CONTEXTS,
    "gpt2-with-past": (Workload(1, 1, 128), Workload(8, 1, 128)),
}


def feeds_of(workload: Workload, samples: Feeds) -> Feeds:
    """Inputs of one run, cut from calibration `samples` or repeating them."""
    batch, tokens, past = workload
    if tokens is None:
        return {name: np.resize(array, (batch, *array.shape[1:])) for name, array in samples.items()}
    whole = {
        "attention_mask": np.ones((batch, past + tokens), np.int64),
        "position_ids": np.arange(past, past + tokens)[None].repeat(batch, axis=0),
    }
    feeds: Feeds = {}
    for name, array in samples.items():
        if name.startswith("past_key_values"):
            heads, _, width = array.shape[1:]
            feeds[name] = np.resize(array, (batch, heads, past, width))
        else:
            feeds[name] = whole[name] if name in whole else np.resize(array, (batch, tokens))
    return feeds


def converted(network: Path, folder: Path, timesteps: int, scope: str, max_error: float | None) -> Path:
    """The file of the spiking network, written where it is missing."""
    name = network.parent.name
    file = folder / f"{name}-T{timesteps}-{scope}{'' if max_error is None else f'-{max_error}'}.onnx"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"converting {file.name}", flush=True)
        stage = folder / f"part-{file.name}"
        onnx_snn.convert(
            network,
            stage,
            network.with_name("calibration.npz"),
            calibration_cache=folder / f"{name}-{scope}.calibration.npz",
            timesteps=timesteps,
            scope=scope,
            max_error=max_error,
            batch_size=1,
        )
        stage.rename(file)
    return file


class Bench:
    """Sessions on the same terms."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.threads, self.passive, self.rounds = options.threads, options.passive, options.rounds
        self.clock = time.process_time if options.processor_time else time.perf_counter
        if not self.passive:
            share_threads(self.threads)

    def session(self, file: Path, *, profile: Path | None = None) -> ort.InferenceSession:
        """A session on a network, with the kernels; one that is profiled writes to a file that begins as `profile`."""
        options = onnx_snn.session_options(quiet=True)
        options = on_passive_threads(options, self.threads) if self.passive else on_shared_threads(options)
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(profile)
        return onnx_snn.session(file, session_options=options)

    def measure(self, sessions: Sessions, feeds: Feeds) -> dict[str, Any]:
        """Time of the spiking network over that of the original."""
        seconds = self._run(sessions, feeds, self.rounds)
        return {"ann_ms": statistics.median(seconds["ann"]) * 1e3, **ratio(seconds, "snn", "ann")._asdict()}

    def profile(self, files: dict[str, Path], feeds: Feeds, folder: Path) -> dict[str, dict[str, Any]]:
        """Milliseconds and number of nodes by op type, of either network."""
        sessions = {name: self.session(file, profile=folder / name) for name, file in files.items()}
        self._run(sessions, feeds, PROFILED_ROUNDS)
        profiles = {}
        for name, session in sessions.items():
            events = Path(session.end_profiling())
            profiles[name] = by_op_type(json.loads(events.read_text()))
            events.unlink()
        return profiles

    def _run(self, sessions: Sessions, feeds: Feeds, rounds: int) -> dict[str, list[float]]:
        runs = {name: lambda session=session: session.run(None, feeds) for name, session in sessions.items()}
        return taking_turns(runs, rounds, self.clock)


def by_op_type(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Time in milliseconds and number of nodes by op type, from onnxruntime's profile.

    The time of an op type is the sum over its nodes of the median time over all runs.
    """
    durations: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            durations[event["args"]["op_name"], event["name"]].append(event["dur"] / 1e3)
    profile: dict[str, Any] = defaultdict(lambda: {"ms": 0.0, "nodes": 0})
    for (op_type, _), milliseconds in durations.items():
        profile[op_type]["ms"] += statistics.median(milliseconds)
        profile[op_type]["nodes"] += 1
    return dict(profile)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write the table."""
    options = _parser().parse_args(arguments)
    ready = options.output.with_suffix(".json")
    rows: dict[str, dict[str, Any]] = json.loads(ready.read_text())["rows"] if ready.exists() else {}
    machine = describe_machine()
    machine |= {key: getattr(options, key) for key in ("threads", "passive", "processor_time")}
    for row in _measure(options, instruction_set(machine)):
        rows[key_of(row)] = row
        ready.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
        print(_line(row), flush=True)
        if "profile" in row:
            print(profile_table(row["profile"]), flush=True)
    options.output.write_text(page(machine, list(WORKLOADS), list(rows.values())))
    return 0


def _measure(options: argparse.Namespace, kernels: str) -> Iterator[dict[str, Any]]:
    originals = {name: build(name, options.networks) for name in options.only}
    # Sessions of a conversion have threads of their own, which a process with one pool for all does not allow.
    variants = [
        (name, timesteps, scope, converted(originals[name], options.folder, timesteps, scope, options.max_error))
        for name, scope, timesteps in itertools.product(options.only, options.scopes, options.timesteps)
    ]
    bench = Bench(options)
    for name, group in itertools.groupby(variants, key=itemgetter(0)):
        original = originals[name]
        with np.load(original.with_name("calibration.npz")) as archive:
            samples = dict(archive)
        ann = bench.session(original)
        for _, timesteps, scope, spiking in group:
            snn = bench.session(spiking)
            for workload in (workload for workload in WORKLOADS[name] if workload.batch in options.batches):
                feeds = feeds_of(workload, samples)
                row = {"network": name, **workload._asdict(), "timesteps": timesteps, "scope": scope}
                row |= {"max_error": options.max_error, "kernels": kernels}
                row |= bench.measure({"snn": snn, "ann": ann}, feeds)
                if options.profile:
                    row["profile"] = bench.profile({"ann": original, "snn": spiking}, feeds, options.folder)
                yield row


def _line(row: dict[str, Any]) -> str:
    return f"{key_of(row)}: {row['median']:.2f} times the {row['ann_ms']:.1f} ms of the ANN"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NETWORK")
    parser.add_argument("--timesteps", nargs="+", type=int, default=TIMESTEPS, metavar="T")
    parser.add_argument("--scopes", nargs="+", choices=SCOPES, default=SCOPES, metavar="SCOPE")
    parser.add_argument("--max-error", type=float, help="of the conversion; its default by default")
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8), metavar="BATCH")
    parser.add_argument("--rounds", type=int, default=21, help="pairs of runs a row")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passive", action="store_true", help="threads sleep while they wait: for a busy machine")
    parser.add_argument(
        "--processor-time", action="store_true", help="of all threads, for a busy machine: --passive too"
    )
    parser.add_argument("--profile", action="store_true", help="also tell where the time goes")
    parser.add_argument("--networks", type=Path, default=Path("build/networks"), help="where the networks are")
    parser.add_argument("--folder", type=Path, default=Path("build/latency"), help="where converted networks stay")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/latency.md"))
    return parser


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Sessions that come and go for a long time: memory that they leave behind, and outputs that change.

    python benchmarks/soak.py                   # twenty minutes; writes docs/measurements/soak.md
    python benchmarks/soak.py --minutes 2 --output build/soak.md

Three networks of models/ are converted by `onnx-snn convert`. Then eight threads do the same over and over: create a
session with the kernels, of a network and with one or two threads of its own as drawn, run it one to three times on
drawn samples, compare every output with that of the first run of this sample bit for bit, and destroy the session.

Every ten seconds the threads finish their sessions and rest. Then the allocator gives its free pages back to the
system, and the resident set is what the process holds: its code, its data, and what leaked. It is read while the
sessions run as well, where it depends on what runs at that moment. Exits with 1 where an output differs, a session
fails, or the resident set at rest grows by 1 % or more after the first minute. Linux with glibc.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import onnxruntime as ort
from measurement import describe_machine, instruction_set, machine_in_words

import onnx_snn
from onnx_snn.formatting import table

Feeds: TypeAlias = dict[str, np.ndarray[Any, Any]]

MODELS = ("roberta-mr", "resnet-cifar10", "gpt2-war-and-peace")
THREADS = 8
INPUTS = 4
"""Different inputs of each network: one of one sample, one of two, and so on."""

ROUND = 10.0
"""Seconds between two rests."""

WARM = 60.0
"""Seconds after which nothing may grow."""

MOST = 0.01
"""Largest growth at rest, relative."""

MEGABYTE = 1e6
HEADER = ("minute", "sessions", "runs", "allocated, MB", "at rest, MB", "running, MB", "largest, MB")


class Work(NamedTuple):
    """A network with inputs, and the bytes of the outputs of the first run of each."""

    file: Path
    inputs: list[Feeds]
    outputs: list[list[bytes]]


def converted(models: Path, folder: Path, name: str) -> Path:
    """The spiking network, written in a process of its own: what conversion allocates is not measured."""
    source, file = models / name, folder / f"{name}.onnx"
    command = [sys.executable, "-m", "onnx_snn", "convert", "--quiet", "--fast", "-T", "8", "-o", str(file)]
    command += ["-m", str(source / "model.onnx"), "-c", str(source / "calibration.npz")]
    subprocess.run(command, check=True)
    return file


def session_of(file: Path, threads: int) -> ort.InferenceSession:
    """A session with the kernels, whose threads sleep while they wait."""
    options = onnx_snn.session_options(quiet=True)
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnx_snn.session(file, session_options=options)


def outputs_of(session: ort.InferenceSession, feeds: Feeds) -> list[bytes]:
    """The bytes of all outputs."""
    return [output.tobytes() for output in session.run(None, feeds)]


def work_on(models: Path, folder: Path, name: str) -> Work:
    """The network `name`, its inputs, and what it answers at first."""
    file = converted(models, folder, name)
    session = session_of(file, 1)
    with np.load(models / name / "test.npz") as archive:
        samples = {value.name: archive[value.name] for value in session.get_inputs()}
    inputs = [{key: array[i : 2 * i + 1] for key, array in samples.items()} for i in range(INPUTS)]
    return Work(file, inputs, [outputs_of(session, feeds) for feeds in inputs])


class Count(NamedTuple):
    """What a thread did in a round."""

    sessions: int
    runs: int
    differing: int


def worker(works: Sequence[Work], seed: int, end: float) -> Count:
    """Create, run and destroy sessions until `end`, by `time.monotonic`."""
    drawn, sessions, runs, differing = random.Random(seed), 0, 0, 0
    while time.monotonic() < end:
        work = drawn.choice(works)
        session = session_of(work.file, drawn.choice((1, 2)))
        for _ in range(drawn.randint(1, 3)):
            index = drawn.randrange(INPUTS)
            differing += outputs_of(session, work.inputs[index]) != work.outputs[index]
            runs += 1
        del session
        sessions += 1
    return Count(sessions, runs, differing)


def resident() -> int:
    """Bytes of this process that are in memory, without those of mapped files that other processes may share."""
    _, pages, shared, *_ = map(int, Path("/proc/self/statm").read_text().split())
    return (pages - shared) * os.sysconf("SC_PAGE_SIZE")


class Usage(ctypes.Structure):
    """What glibc's `mallinfo2` returns."""

    _fields_: ClassVar = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


class Allocator:
    """The allocator of glibc, made to return what is free.

    Its thresholds grow by themselves with the sizes that are freed, up to 64 MiB for each arena, which `malloc_trim`
    does not return. Here they stay at the values with which glibc starts. One arena serves all threads, as pages that
    are free in many arenas would be taken from one after the other.
    """

    THRESHOLD = 128 * 1024
    M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8

    def __init__(self) -> None:
        self._libc = ctypes.CDLL("libc.so.6")
        self._libc.mallinfo2.restype = Usage
        self._libc.mallopt(self.M_ARENA_MAX, 1)
        for parameter in (self.M_TRIM_THRESHOLD, self.M_MMAP_THRESHOLD):
            self._libc.mallopt(parameter, self.THRESHOLD)

    def trim(self) -> None:
        """Give the free pages back to the system."""
        self._libc.malloc_trim(0)

    def used(self) -> int:
        """Bytes that are allocated, in all arenas."""
        usage = self._libc.mallinfo2()
        return int(usage.uordblks + usage.hblkhd)


def rounds(works: Sequence[Work], seconds: float, allocator: Allocator) -> Iterator[dict[str, Any]]:
    """What happens and what is resident in every round, until `seconds` have passed."""
    start, seeds = time.monotonic(), itertools.count()
    with ThreadPoolExecutor(THREADS) as pool:
        while (now := time.monotonic()) < start + seconds:
            end = min(now + ROUND, start + seconds)
            done = [pool.submit(worker, works, next(seeds), end) for _ in range(THREADS)]
            running = []
            while not all(future.done() for future in done):
                running.append(resident())
                time.sleep(0.2)
            counts = Count(*map(sum, zip(*(future.result() for future in done), strict=True)))
            gc.collect()
            allocator.trim()
            passed = time.monotonic() - start
            memory = {
                "allocated": allocator.used(),
                "at_rest": resident(),
                "running": statistics.mean(running),
                "largest": max(running),
            }
            yield {"seconds": round(passed, 1), **counts._asdict(), **memory}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run for the time that is asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the networks are")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/soak.md"))
    options = parser.parse_args(arguments)
    allocator = Allocator()
    with tempfile.TemporaryDirectory() as scratch:
        works = [work_on(options.models, Path(scratch), name) for name in MODELS]
        rows = []
        for row in rounds(works, 60.0 * options.minutes, allocator):
            rows.append(row)
            print(row, flush=True)
    machine = describe_machine()
    grown = {key: growth(rows, key) for key in ("allocated", "at_rest")}
    result = {"machine": machine, "minutes": options.minutes, "growth": grown, "rounds": rows}
    options.output.write_text(page(result))
    options.output.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"growth at rest {grown['at_rest']:.3%}, of what is allocated {grown['allocated']:.3%}")
    return int(grown["at_rest"] >= MOST or any(row["differing"] for row in rows))


def growth(rows: Sequence[dict[str, Any]], key: str) -> float:
    """The last value of `key` over the first one after `WARM` seconds, less 1; 0 where there is only one."""
    warm = [row[key] for row in rows if row["seconds"] >= WARM]
    return warm[-1] / warm[0] - 1 if warm else 0.0


def page(result: dict[str, Any]) -> str:
    """The measurements as Markdown, one line for each minute."""
    rows, machine = result["rounds"], result["machine"]
    sessions, runs, differing = (sum(row[key] for row in rows) for key in Count._fields)
    lines = [_cells(list(group)) for _, group in itertools.groupby(rows, lambda row: int(row["seconds"] // 60))]
    grown = result["growth"]
    return (
        "# Sessions for a long time\n\n"
        "Written by `python benchmarks/soak.py`; do not edit. Eight threads create, run and destroy sessions with the\n"
        f"kernels, of {', '.join(MODELS)} (converted with `--fast -T 8`), for {result['minutes']:g} minutes: sessions\n"
        "of one or two threads, one to three runs each, on one to four samples.\n\n"
        f"{sessions:,} sessions, {runs:,} runs; {differing} of them with other bits than the first run of the same\n"
        f"sample. After the first minute the resident set at rest grows by {grown['at_rest']:.2%} (less than "
        f"{MOST:.0%} is demanded),\nand what is allocated by {grown['allocated']:.2%}.\n\n"
        "Every ten seconds the threads finish their sessions, and the allocator returns what is free: `malloc_trim`,\n"
        "with one arena and both thresholds of glibc fixed at 128 KiB, because thresholds that grow let every arena\n"
        "keep up to 64 MiB, which is no leak but hides one. Allocated is what `mallinfo2` says is in use, at rest.\n"
        "Resident sets are without mapped files; those of running sessions depend on which networks run at that\n"
        "moment. A line is the last rest of a minute, with all sessions and runs of the minute.\n\n"
        f"Machine: {machine_in_words(machine)}.\nKernels: {instruction_set(machine)}.\n\n"
        f"```text\n{table(HEADER, lines)}\n```\n"
    )


def _cells(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """A line of the rounds of one minute."""
    running = statistics.mean(row["running"] for row in rows)
    memory = rows[-1]["allocated"], rows[-1]["at_rest"], running, max(row["largest"] for row in rows)
    counts = (sum(row[key] for row in rows) for key in ("sessions", "runs"))
    minute = str(int(rows[-1]["seconds"] // 60) + 1)
    return minute, *(f"{count:,}" for count in counts), *(f"{value / MEGABYTE:.1f}" for value in memory)


if __name__ == "__main__":
    sys.exit(main())

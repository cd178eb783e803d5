# SPDX-License-Identifier: Apache-2.0
"""Helpers of the benchmarks: interleaved timing, description of the machine, one pool of threads for all sessions.

Every session has threads of its own by default, which wait actively for a while after a run: those of an idle
session would take the cores from the one that is timed. With one pool for the whole process there are never more
threads than cores, and they wait as they do in a program with a single session.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime as ort

Run = Callable[[], object]
Seconds = Mapping[str, list[float]]

AVX512 = ("avx512f", "avx512vl", "avx512dq", "avx512bw")
FLAGS = ("avx2", "fma", *AVX512, "asimd")
PACKAGES = ("numpy", "onnx", "onnxruntime")


class Ratio(NamedTuple):
    """How many times as long one of two alternating runs takes as the other.

    Attributes:
        median: over the pairs of neighbours in time.
        quartiles: of the same, lower and upper.
        fastest: of the fastest run of either, which other load on the machine disturbs least.
    """

    median: float
    quartiles: tuple[float, float]
    fastest: float


def taking_turns(runs: Mapping[str, Run], rounds: int, clock: Callable[[], float] = time.perf_counter) -> Seconds:
    """Seconds of each run in each round by `clock`; a round that comes first, to warm up, does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {name: durations[1:] for name, durations in seconds.items()}


def ratio(seconds: Seconds, slow: str, fast: str) -> Ratio:
    """Time of run `slow` over that of run `fast`."""
    pairs = [numerator / denominator for numerator, denominator in zip(seconds[slow], seconds[fast], strict=True)]
    lower, median, upper = statistics.quantiles(pairs, n=4, method="inclusive")
    return Ratio(median, (lower, upper), min(seconds[slow]) / min(seconds[fast]))


def share_threads(threads: int) -> None:
    """Give this process one pool of threads; to be called once, before the first session."""
    ort.set_global_thread_pool_sizes(threads, 1)


def on_shared_threads(options: ort.SessionOptions) -> ort.SessionOptions:
    """`options` for a session on the pool of this process, which then can have no other sessions."""
    options.use_per_session_threads = False
    return options


def on_passive_threads(options: ort.SessionOptions, threads: int) -> ort.SessionOptions:
    """`options` for a session with threads of its own that sleep while they wait.

    On a machine with other load this takes nothing from either session; on an idle one each node pays for waking them.
    """
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def describe_machine() -> dict[str, Any]:
    """Processor, instruction sets that matter here, and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = dict(reversed([(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]))
    flags = set((cpu.get("flags") or cpu.get("Features", "")).split())
    return {
        "processor": cpu.get("model name") or platform.processor() or platform.machine(),
        "family": f"{cpu.get('cpu family', '?')}/{cpu.get('model', '?')}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def instruction_set(machine: Mapping[str, Any]) -> str:
    """The instruction set that the library chooses on this machine, as custom_ops/src/simd/dispatch.cc does."""
    flags = set(machine["flags"])
    widest_first = {"avx512": set(AVX512), "avx2": {"avx2", "fma"}, "neon": {"asimd"}, "baseline": set()}
    available = [name for name, needed in widest_first.items() if needed <= flags]
    wanted = os.environ.get("ONNX_SNN_ISA")
    return wanted if wanted in available else available[0]


def machine_in_words(machine: Mapping[str, Any]) -> str:
    """The description as a phrase."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    flags = ", ".join(machine["flags"]) or "none of " + ", ".join(FLAGS)
    return f"{machine['processor']} (family/model {machine['family']}; {flags}), {machine['cores']} cores; {versions}"

# SPDX-License-Identifier: Apache-2.0
"""Python under a sanitizer, so that an instrumented library of kernels can be loaded by onnxruntime."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

LIBRARY = "libonnx_snn_ops.so"

SECONDS = 600
"""Longest time of a program."""

TOO_LONG = 124
"""Status of a program that takes longer."""


class Ended(NamedTuple):
    """How a program ended, what it printed, and the reports of the sanitizer."""

    status: int
    output: str
    reports: str


def runtime_of(library: Path) -> list[str]:
    """What has to be loaded before Python: the runtime of the sanitizer of `library`, and that of C++, whose exceptions
    it intercepts. Empty where the sanitizer has no library of its own."""
    listed = subprocess.run(["ldd", library], capture_output=True, text=True, check=True).stdout
    sanitizers = re.findall(r"lib[at]san\S* => (\S+)", listed)
    return [*sanitizers, *re.findall(r"libstdc\+\+\S* => (\S+)", listed)] if sanitizers else []


def run(library: Path, program: Sequence[str], scratch: Path) -> Ended:
    """Run a Python `program`, which loads `library`, under the sanitizer.

    Leaks are not searched for, as Python and onnxruntime keep what they have until the end.
    """
    log = scratch / f"{library.stem}.log"
    options = f"log_path={log}:detect_leaks=0:exitcode=66"
    settings = {"LD_PRELOAD": " ".join(runtime_of(library)), "OMP_NUM_THREADS": "1", "PYTHONMALLOC": "malloc"}
    settings |= {"ASAN_OPTIONS": options, "TSAN_OPTIONS": options, "UBSAN_OPTIONS": "print_stacktrace=1"}
    command = [sys.executable, *program]
    environment = os.environ | settings
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return Ended(TOO_LONG, f"longer than {SECONDS} s", "")
    reports = "".join(file.read_text() for file in sorted(scratch.glob(f"{log.name}.*")))
    for file in scratch.glob(f"{log.name}.*"):
        file.unlink()
    return Ended(ended.returncode, ended.stdout + ended.stderr, reports)

# SPDX-License-Identifier: Apache-2.0
"""Time and memory of converting networks of real sizes, each by `onnx-snn convert` in a process of its own.

    python benchmarks/conversion.py --folder build/networks

Every network of benchmarks/networks.py is built where it is missing and converted with its eight calibration samples,
one at a time. Memory is the largest resident set of the process, mapped files included. With `--only`, rows of other
networks stay as they are in the JSON file beside the table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from onnx_snn.formatting import table

BUILDER = Path(__file__).with_name("networks.py")
NETWORKS = ("vit-base", "roberta-base", "gpt2", "gpt2-with-past", "gpt2-medium", "gpt2-medium-external")
TIMESTEPS = (4, 8, 16)
PACKAGES = ("numpy", "onnx", "onnx-ir", "onnxruntime")
MEGABYTE, GIBIBYTE = 1e6, 2**30

TIME_BARS = {"vit-base": 60.0, "gpt2-medium": 180.0, "gpt2-medium-external": 180.0}
"""Target for the time of a conversion at T=8 on two cores, in seconds, by network."""

HEADER = (
    "network",
    "T",
    "file, MB",
    "seconds",
    "bar",
    "processor, s",
    "others",
    "peak, MB",
    "peak / (2 files + 1 GiB)",
    "slowest stages",
)


def measure(file: Path, timesteps: int) -> dict[str, Any]:
    """Convert `file` in a process of its own: its wall time by stage and its peak of memory."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, "-m", "onnx_snn", "convert", "--quiet", "--batch-size", "1", "-T", str(timesteps)]
        command += ["-m", str(file), "-c", str(file.with_name("calibration.npz"))]
        command += ["-o", str(Path(scratch) / "spiking.onnx"), "--report", str(report)]
        start, busy = time.perf_counter(), _busy_seconds()
        _, status, usage = os.wait4(subprocess.Popen(command).pid, 0)
        seconds, busy = time.perf_counter() - start, _busy_seconds() - busy
        if os.waitstatus_to_exitcode(status):
            raise SystemExit(f"conversion of {file} failed")
        contents = json.loads(report.read_text())
    own = usage.ru_utime + usage.ru_stime
    return {
        "seconds": round(seconds, 1),
        "file_bytes": sum(part.stat().st_size for part in file.parent.glob("*.onnx*")),
        "peak_bytes": usage.ru_maxrss * 1024,
        "processor_seconds": round(own, 1),
        "cores_used_by_others": round(max(busy - own, 0.0) / seconds, 2),
        "stage_seconds": {stage: round(seconds, 2) for stage, seconds in contents["seconds"].items()},
        "relative_error": contents["outputs"][0]["relative_error"],
    }


def _busy_seconds() -> float:
    """Processor time that all programs together, and the hosts of a virtual machine, have taken since it started."""
    user, nice, system, _, _, *interrupts_and_steal = Path("/proc/stat").read_text().split("\n")[0].split()[1:9]
    return sum(map(int, (user, nice, system, *interrupts_and_steal))) / os.sysconf("SC_CLK_TCK")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/networks"), help="where the networks are")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--timesteps", nargs="+", type=int, default=TIMESTEPS, metavar="T")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/conversion.md"))
    options = parser.parse_args(arguments)
    ready = options.output.with_suffix(".json")
    rows: dict[str, dict[str, Any]] = json.loads(ready.read_text())["rows"] if ready.exists() else {}
    machine = describe_machine()
    for name in options.only:
        # In a process of its own too: what a parent holds counts as memory of its children until they start.
        subprocess.run([sys.executable, BUILDER, name, "--folder", options.folder], check=True)
        for timesteps in options.timesteps:
            row = measure(options.folder / name / "model.onnx", timesteps)
            rows[f"{name} T={timesteps}"] = {"network": name, "timesteps": timesteps, **row}
            print(rows[f"{name} T={timesteps}"], flush=True)
            ready.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
            options.output.write_text(page(machine, list(rows.values())))
    return 0


def describe_machine() -> str:
    """Cores, memory and versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIBIBYTE
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    python = platform.python_version()
    return f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB, Python {python}, {packages}"


def page(machine: str, rows: Sequence[dict[str, Any]]) -> str:
    """The measurements as Markdown."""
    ordered = sorted(rows, key=lambda row: (NETWORKS.index(row["network"]), row["timesteps"]))
    return (
        "# Conversion of networks of real sizes\n\n"
        f"Written by `python benchmarks/conversion.py` on {machine}. Eight calibration\n"
        "samples, one at a time (128 tokens, or an image of 224 x 224), scope full. Time is of the whole command; the\n"
        "bars are for T=8 on two cores that nothing else uses. Beside it are the processor time of the conversion and\n"
        "how many cores other programs used meanwhile. Memory is the largest resident set, mapped files included.\n\n"
        f"```text\n{table(HEADER, map(_cells, ordered))}\n```\n"
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    bar = TIME_BARS.get(row["network"]) if row["timesteps"] == 8 else None
    slowest = sorted(row["stage_seconds"].items(), key=lambda stage: -stage[1])[:3]
    return (
        row["network"],
        str(row["timesteps"]),
        f"{row['file_bytes'] / MEGABYTE:.0f}",
        f"{row['seconds']:.1f}",
        "" if bar is None else f"{bar:.0f}",
        f"{row['processor_seconds']:.1f}",
        f"{row['cores_used_by_others']:.1f}",
        f"{row['peak_bytes'] / MEGABYTE:.0f}",
        f"{row['peak_bytes'] / (2 * row['file_bytes'] + GIBIBYTE):.2f}",
        ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in slowest),
    )


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Converted networks without the library: creation and run of a session over those of the original's.

    python benchmarks/portable_bodies.py                    # writes docs/measurements/portable-bodies.md
    python benchmarks/portable_bodies.py --only vit-cifar10 -T 4
    python benchmarks/portable_bodies.py --before FOLDER    # also those of these files that another version wrote there

The networks of models/ are converted with closed and with loop bodies into `--folder`, where the files stay. Python,
Node.js and Chromium create a session of each file in a process of its own, on one thread, and run it on one sample. The
files take turns, and a figure is the median over the rounds, since other load on the machine comes and goes. Figures
that are not measured anew stay.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from host_sessions import HOSTS, write_feeds
from host_sessions import measured as measured_session
from measurement import describe_machine, machine_in_words

import onnx_snn
from onnx_snn.formatting import table
from onnx_snn.neurons.opset import Body

ROOT = Path(__file__).parents[1]
NETWORKS = ("vit-cifar10", "roberta-mr", "gpt2-war-and-peace")
KEY = ("network", "timesteps", "host", "file")
ORIGINAL = "original"
HEADER = ("network", "T", "host", "file", "creation, s", "/ original", "run, ms", "/ original")


def files_of(network: Path, timesteps: int, options: argparse.Namespace) -> dict[str, Path]:
    """The original and its conversions, by their name in the table; written where they are missing."""
    files = {ORIGINAL: network / "model.onnx"}
    for body in options.bodies:
        file = options.folder / f"{network.name}-T{timesteps}-{body.value}.onnx"
        if not file.exists():
            calibration = network / "calibration.npz"
            onnx_snn.convert(files[ORIGINAL], file, calibration, timesteps=timesteps, body=body)
        files[body.value] = file
        if options.before and (options.before / file.name).exists():
            files[f"{body.value}, before"] = options.before / file.name
    return files


def measured(network: Path, timesteps: int, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Creation and run of every file in every host."""
    files = files_of(network, timesteps, options)
    feeds = options.folder / f"{network.name}.json"
    with np.load(network / "calibration.npz") as samples:
        write_feeds({name: array[:1] for name, array in samples.items()}, feeds)
    for host in options.hosts:
        rounds = [
            {
                name: measured_session(host, file.resolve(), feeds.resolve(), options.runs)
                for name, file in files.items()
            }
            for _ in range(options.rounds)
        ]
        for name in files:
            times = {what: statistics.median(each[name][what] for each in rounds) for what in ("create", "run")}
            ratios = {
                f"{what}_ratio": statistics.median(each[name][what] / each[ORIGINAL][what] for each in rounds)
                for what in ("create", "run")
            }
            yield {
                "network": network.name,
                "timesteps": timesteps,
                "host": host,
                "file": name,
                **times,
                **ratios,
                "rounds": len(rounds),
            }


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """The cells of a row of the table."""
    return (
        row["network"],
        str(row["timesteps"]),
        row["host"],
        row["file"],
        f"{row['create']:.2f}",
        f"{row['create_ratio']:.1f}",
        f"{row['run'] * 1e3:.1f}",
        f"{row['run_ratio']:.1f}",
    )


PAGE = """# Without the library

What a converted network costs where no library can be loaded, so that the runtime inlines the functions in the file:
creation of a session, and its run on one sample, over those of the original's. One thread. Times are those of the
processor in Python and in Node.js, and of the clock in Chromium, where creation includes the compilation of
onnxruntime-web. "Before" are the same neurons with bodies that prepared parameters outside of their subgraphs, in part
at every run.

`python benchmarks/portable_bodies.py`, {machine}, onnxruntime-node and onnxruntime-web {javascript}; medians over
rounds, whose number is in the JSON file.

```text
{table}
```
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--hosts", nargs="+", choices=HOSTS, default=HOSTS)
    parser.add_argument("--bodies", nargs="+", type=Body, choices=Body, default=Body, help="loop, closed")
    parser.add_argument("-T", "--timesteps", nargs="+", type=int, default=[8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=7, help="runs of each session, of which the median counts")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "portable")
    parser.add_argument("--before", type=Path, help="folder of the files of another version")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "measurements" / "portable-bodies.md")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.output.with_suffix(".json")
    rows = json.loads(kept.read_text())["rows"] if kept.exists() else []
    for name, timesteps in itertools.product(options.only, options.timesteps):
        for row in measured(ROOT / "models" / name, timesteps, options):
            rows = [other for other in rows if any(other[key] != row[key] for key in KEY)] + [row]
            print(*cells(row), flush=True)
            write(rows, options)


def write(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Write the page and the figures beside it."""
    machine = describe_machine()
    packages = json.loads((ROOT / "tests" / "hosts" / "package.json").read_text())["dependencies"]
    page = PAGE.format(
        machine=machine_in_words(machine),
        javascript=packages["onnxruntime-web"],
        table=table(HEADER, map(cells, rows)),
    )
    options.output.write_text(page)
    options.output.with_suffix(".json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()

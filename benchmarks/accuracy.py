# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the converted networks of models/ beside their originals, by time steps and preset.

    python models/full_test.py --data cifar10-jpg.tar --output cifar10-test.npz
    python benchmarks/accuracy.py --test vit-cifar10=cifar10-test.npz

The first command writes the whole CIFAR-10 test split, of which the repository holds a sample; without it and
`--test`, the sample is used.

Every network is converted in scope full with its own calibration.npz, which comes from training data, and compared
on test.npz, which calibration never saw. Spikes are counted on the first samples of it. A model that is ready in the
table is not run again: delete its rows in the JSON file beside the table to repeat it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime as ort

import onnx_snn
from onnx_snn.formatting import table
from onnx_snn.profiling.gain import Gain

OPTIONS: dict[str, dict[str, Any]] = {"default": {}, "fast": {"fast": True}}
SETTINGS = (
    *(("default", timesteps) for timesteps in (16, 8, 4, 2)),
    ("fast", 8),
)
BATCH_SIZE, COUNTED_SAMPLES = 16, 128
HEADER = (
    "model",
    "neurons",
    "T",
    "test data",
    "samples",
    "metric",
    "original",
    "spiking",
    "relative loss",
    "agreement",
    "output error",
    "spikes/element",
    "energy",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing and write the table."""
    options = _parser().parse_args(arguments)
    tests = dict(entry.split("=", 1) for entry in options.test)
    ready = options.output.with_suffix(".json")
    rows: list[dict[str, Any]] = json.loads(ready.read_text()) if ready.exists() else []
    for row in _measure(options.models, tests, options.only, {_key(row) for row in rows}):
        rows.append(row)
        ready.write_text(json.dumps(rows, indent=2) + "\n")
        print(row, flush=True)
    rows.sort(key=lambda row: (row["model"], row["neurons"], -row["timesteps"]))
    options.output.write_text(_page(rows))
    return 0


def _measure(
    models: Path, tests: dict[str, str], only: Sequence[str], ready: set[tuple[Any, ...]]
) -> Iterator[dict[str, Any]]:
    for file in sorted(models.glob("**/model.onnx")):
        folder = file.parent
        name = str(folder.relative_to(models))
        test = tests.get(name, folder / "test.npz")
        if only and name not in only:
            continue
        for neurons, timesteps in SETTINGS:
            if (name, neurons, timesteps) in ready:
                continue
            with converted(folder, neurons, timesteps) as (spiking, seconds):
                evaluation = onnx_snn.compare(file, spiking, test, batch_size=BATCH_SIZE, progress=True)
                gain = Gain.of(onnx_snn.profile(spiking, test, samples=COUNTED_SAMPLES, progress=False))
            yield {
                "model": name,
                "neurons": neurons,
                "timesteps": timesteps,
                "test": Path(test).name,
                "conversion_seconds": round(seconds, 1),
                **evaluation.to_json(),
                "spikes": gain.spikes_per_element,
                "energy": gain.energy,
            }


@contextmanager
def converted(folder: Path, neurons: str, timesteps: int) -> Iterator[tuple[Path, float]]:
    """The network in `folder`, converted with its own calibration data, and the seconds that this took."""
    with tempfile.TemporaryDirectory() as scratch:
        spiking, start = Path(scratch) / "snn.onnx", time.perf_counter()
        options = {"timesteps": timesteps, **OPTIONS[neurons]}
        onnx_snn.convert(folder / "model.onnx", spiking, folder / "calibration.npz", **options)
        yield spiking, time.perf_counter() - start


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["model"], row["neurons"], row["timesteps"]


def _page(rows: Sequence[dict[str, Any]]) -> str:
    cells = [
        (
            row["model"],
            row["neurons"],
            str(row["timesteps"]),
            row["test"],
            str(row["samples"]),
            row["metric"],
            f"{row['original']:.4f}",
            f"{row['spiking']:.4f}",
            f"{row['relative_loss']:.3%}",
            f"{row['agreement']:.2%}",
            f"{row['relative_error']:.1e}",
            f"{row['spikes']:.2f}",
            f"{row['energy']:.1%}",
        )
        for row in rows
    ]
    return (
        "# Accuracy of the converted networks\n\n"
        "Scope full, test data that calibration never saw; a negative loss is a gain. *Energy*: that of the spiking\n"
        "network over that of the original, accumulate-only rule; *spikes/element*: of weight matmuls; both on the\n"
        f"first {COUNTED_SAMPLES} samples. Fast: neurons by rule (`--fast`). cifar10-test.npz is the whole\n"
        "test split, as `python models/full_test.py` writes it. Written by\n"
        f"`python benchmarks/accuracy.py --test vit-cifar10=cifar10-test.npz --test resnet-cifar10=cifar10-test.npz`,\n"
        f"onnxruntime {ort.__version__}.\n\n"
        f"```text\n{table(HEADER, cells)}\n```\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/accuracy.md"))
    parser.add_argument("--test", action="append", default=[], metavar="MODEL=NPZ", help="test data for a model")
    parser.add_argument("--only", action="append", default=[], metavar="MODEL", help="measure only these models")
    return parser


if __name__ == "__main__":
    sys.exit(main())

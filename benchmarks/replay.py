# SPDX-License-Identifier: Apache-2.0
"""Networks replayed spike by spike: whether accumulations make their products; writes docs/measurements/replay.md.

    python benchmarks/replay.py                             # the networks of models/, T=8 and T=4, 16 test samples
    python benchmarks/replay.py --only vit-cifar10 --timesteps 8
    python benchmarks/replay.py --timesteps --tuned         # those that tune finds, at most 0.5 % worse with labels

Networks are converted or tuned once into `--folder`, where the files stay. Figures that are not measured anew stay.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import onnx_snn
from onnx_snn.formatting import table

NETWORKS = ("vit-cifar10", "roberta-mr", "resnet-cifar10", "gpt2-war-and-peace")
HEADER = ("network", "T", "products", "reproduced", "spikes", "accumulations", "factors", "error", "file's error", "s")


TUNED, TARGET_LOSS = "tuned", 0.005
"""What stands in place of the number of time steps of tuned networks, and their target."""

TUNING_SAMPLES = 512
"""Number of samples with labels on which networks are tuned."""


def spiking(source: Path, path: Path, timesteps: int | str) -> Path:
    """The spiking network of the folder `source`, written to `path` where it is missing."""
    if path.exists():
        return path
    files = source / "model.onnx", path, source / "calibration.npz"
    if timesteps == TUNED:
        with np.load(source / "test.npz") as data:
            seen = {name: array[:TUNING_SAMPLES] for name, array in data.items()}
        onnx_snn.tune(*files, data=seen, target_loss=TARGET_LOSS)
    else:
        onnx_snn.convert(*files, timesteps=int(timesteps))
    return path


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The figures of every network and number of time steps."""
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        for timesteps in [*options.timesteps, *([TUNED] if options.tuned else [])]:
            source = options.models / name
            file = f"{name}-{timesteps}.onnx" if timesteps == TUNED else f"{name}-T{timesteps}.onnx"
            path = spiking(source, options.folder / file, timesteps)
            start = time.perf_counter()
            replayed = onnx_snn.replay(path, source / "test.npz", samples=options.samples)
            seconds = time.perf_counter() - start
            yield {"network": name, "timesteps": timesteps, "seconds": seconds, **replayed.to_json()}


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One line of the page."""
    products = row["products"]
    spikes, accumulations, factors = (
        sum(product[key] for product in products) / row["samples"] for key in ("spikes", "accumulations", "factors")
    )
    return (
        row["network"],
        str(row["timesteps"]),
        str(len(products) + len(row["left"])),
        str(sum(not product["faults"] for product in products)),
        *(f"{figure:.2e}" for figure in (spikes, accumulations, factors)),
        f"{max(product['error'] for product in products):.0f}",
        f"{max(product['ulps'] for product in products):.0f}",
        f"{row['seconds']:.0f}",
    )


def page(lines: Sequence[tuple[str, ...]], samples: int) -> str:
    """The Markdown page."""
    return (
        "# Replay\n\n"
        "Written by `python benchmarks/replay.py`; do not edit. Networks of models/, scope full, on "
        f"{samples} test samples:\nevery product made once more by spikes and accumulations alone. Spikes, "
        "accumulations and factors (multiplications of a\nsum that are no shift) are those of one sample. Errors are "
        "the largest ones relative to the product of the magnitudes: of\nthe sums by spikes from the product of the "
        "decoded operands, in units of 2^-53, and of the file's float32 result from the\nsums by spikes, in units of "
        "2^-24. A product counts as reproduced if its spikes decode to the bits of the file's operand,\nthe first "
        "error is at most 1024, and the accumulations are those that `profile` counts. Tuned are networks of `tune` "
        "with\nlabels, for a loss of at most 0.5 %.\n\n"
        f"```text\n{table(HEADER, lines)}\n```\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay what is asked for and write the page."""
    options = _parser().parse_args(arguments)
    ready = options.output.with_suffix(".json")
    kept = json.loads(ready.read_text()) if ready.exists() else []
    measured = {(row["network"], row["timesteps"]): row for row in kept if row["samples"] == options.samples}
    for row in rows(options):
        measured[row["network"], row["timesteps"]] = row
        print("  ".join(cells(row)), flush=True)
    ordered = sorted(measured.values(), key=lambda row: NETWORKS.index(row["network"]))
    options.output.write_text(page([cells(row) for row in ordered], options.samples))
    ready.write_text(json.dumps(ordered, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--timesteps", nargs="*", type=int, default=(8, 4), metavar="T")
    parser.add_argument("--tuned", action="store_true", help="also those that tune finds for a loss of 0.5 %%")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the networks are")
    parser.add_argument("--folder", type=Path, default=Path("build/replay"), help="where converted networks stay")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/replay.md"))
    return parser


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Networks replayed spike by spike: whether accumulations make their products; writes docs/measurements/replay.md.

    python benchmarks/replay.py                             # the networks of models/, T=8 and T=4, 16 test samples
    python benchmarks/replay.py --only vit-cifar10 --timesteps 8

Networks are converted once into `--folder`, where the files stay.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx_snn
from onnx_snn.formatting import table

NETWORKS = ("vit-cifar10", "roberta-mr", "resnet-cifar10", "gpt2-war-and-peace")
HEADER = ("network", "T", "products", "reproduced", "spikes", "accumulations", "factors", "error", "file's error", "s")


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The figures of every network and number of time steps."""
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        for timesteps in options.timesteps:
            path, source = options.folder / f"{name}-T{timesteps}.onnx", options.models / name
            if not path.exists():
                onnx_snn.convert(source / "model.onnx", path, source / "calibration.npz", timesteps=timesteps)
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
        "error is at most 1024, and the accumulations are those that `profile` counts.\n\n"
        f"```text\n{table(HEADER, lines)}\n```\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay what is asked for and write the page."""
    options = _parser().parse_args(arguments)
    measured = []
    for row in rows(options):
        measured.append(row)
        print("  ".join(cells(row)), flush=True)
    options.output.write_text(page([cells(row) for row in measured], options.samples))
    options.output.with_suffix(".json").write_text(json.dumps(measured, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--timesteps", nargs="+", type=int, default=(8, 4), metavar="T")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the networks are")
    parser.add_argument("--folder", type=Path, default=Path("build/replay"), help="where converted networks stay")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/replay.md"))
    return parser


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Whether data that tuning did not see keep the target: the solver on many draws of the labelled samples.

    python benchmarks/tuning_draws.py

Calibration is done once for each network. For every draw the solver sees as many random samples of test.npz as the
table says, and its choice then runs on others. Results that are ready in the JSON file beside the table are kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import onnx_snn
from onnx_snn.conversion.neuron_choice import trial_network
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.evaluation.comparison import labelled
from onnx_snn.formatting import table
from onnx_snn.neurons.mbe import MAX_TIMESTEPS
from onnx_snn.tuning.preparation import TuningData, prepare
from onnx_snn.tuning.solver import Goal, Minimize, Solver
from onnx_snn.tuning.trial_runner import TrialRunner

SAMPLES = {"vit-cifar10": 600, "roberta-mr": 533, "gpt2-war-and-peace": 128, "resnet-cifar10": 600}
"""Number of labelled samples of a draw by network: half of test.npz, of the texts of 128 tokens a tenth."""

HELD_BACK = {"gpt2-war-and-peace": 256}
"""Largest number of samples that are held back, by network; all that are left for those not listed."""

BATCH_SIZE = 16
HEADER = ("network", "samples", "held back", "kept", "certified", "mean loss", "largest", "energy", "spikes/element")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the draws that are missing and write the table."""
    options = _parser().parse_args(arguments)
    ready = options.output.with_suffix(".json")
    rows: list[dict[str, Any]] = json.loads(ready.read_text()) if ready.exists() else []
    for name in options.only or SAMPLES:
        done = {row["draw"] for row in rows if row["network"] == name}
        for row in _draws(options.models / name, options.target, [d for d in range(options.draws) if d not in done]):
            rows.append(row)
            ready.write_text(json.dumps(rows, indent=1) + "\n")
            print(row, flush=True)
    options.output.write_text(_page(rows, options.target))
    return 0


def _draws(folder: Path, target: float, draws: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A row for each of `draws`."""
    if not draws:
        return
    with np.load(folder / "test.npz") as arrays:
        data = {name: arrays[name] for name in arrays.files}
    seen, total = SAMPLES[folder.name], len(next(iter(data.values())))
    run = RunOptions(onnx_snn.ConvertConfig(), batch_size=BATCH_SIZE, progress=False)
    tuning = TuningData({name: array[:seen] for name, array in data.items()})
    prepared = prepare(run, folder / "model.onnx", folder / "calibration.npz", tuning, MAX_TIMESTEPS)
    specs = input_specs(prepared.model)
    network = trial_network(prepared.model, prepared.found)

    def runner(chosen: NDArray[Any]) -> TrialRunner:
        arrays = {name: array[chosen] for name, array in data.items()}
        feeds = open_feeds({spec.name: arrays[spec.name] for spec in specs}, specs, batch_size=BATCH_SIZE)
        batches = list(labelled(feeds, arrays.get("labels")))
        judged = batches, prepared.output, prepared.metric
        return TrialRunner(network, prepared.found.products, *judged, unlabelled=prepared.unlabelled, progress=False)

    for draw in draws:
        order = np.random.default_rng(draw).permutation(total)
        chosen = Solver(runner(order[:seen]), Goal(target, None, MAX_TIMESTEPS, Minimize.OPERATIONS)).solve()
        held_back = runner(order[seen:][: HELD_BACK.get(folder.name)])
        loss = held_back.point([candidate for _, candidate in chosen.choice]).loss
        point = chosen.point
        yield {
            "network": folder.name,
            "draw": draw,
            "target": target,
            "samples": seen,
            "held_back": held_back.samples,
            "certified": point.keeps(target),
            "bound": point.bound,
            "energy": point.energy,
            "spikes": point.spikes,
            "loss": loss,
        }


def _page(rows: Sequence[dict[str, Any]], target: float) -> str:
    cells = []
    for name in SAMPLES:
        of_network = [row for row in rows if row["network"] == name]
        if of_network:
            losses = [row["loss"] for row in of_network]
            cells.append(
                (
                    name,
                    str(of_network[0]["samples"]),
                    str(of_network[0]["held_back"]),
                    f"{sum(loss <= target for loss in losses)} of {len(losses)}",
                    str(sum(row["certified"] for row in of_network)),
                    f"{np.mean(losses):+.3%}",
                    f"{max(losses):+.3%}",
                    f"{np.mean([row['energy'] for row in of_network]):.1%}",
                    f"{np.mean([row['spikes'] for row in of_network]):.2f}",
                )
            )
    return (
        "# Draws of the tuning data\n\n"
        f"The target is a relative loss of {target:.1%}. Every draw is a random set of labelled samples, on which the\n"
        "solver of `tune` chooses the neurons; the loss is that of these neurons on the samples that are held back,\n"
        "which are others in every draw. *Kept*: draws in which it is within the target. *Certified*: draws in which\n"
        "`tune` says so beforehand, for a set of as many samples as it saw and with a confidence of 95 %.\n"
        "Energy and spikes/element are means over the draws, as the solver counts them.\n"
        "Written by `python benchmarks/tuning_draws.py`.\n\n"
        f"```text\n{table(HEADER, cells)}\n```\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/tuning-draws.md"))
    parser.add_argument("--only", nargs="+", default=[], metavar="MODEL", help="measure only these models")
    parser.add_argument("--target", type=float, default=0.005, help="relative loss")
    parser.add_argument("--draws", type=int, default=20)
    return parser


if __name__ == "__main__":
    sys.exit(main())

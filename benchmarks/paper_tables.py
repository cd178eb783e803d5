# SPDX-License-Identifier: Apache-2.0
"""The tables of arXiv 2508.07710 for the networks of models/: published, its neuron by our fit, and ours.

    python benchmarks/paper_tables.py               # all tables, docs/measurements/paper-tables.md and .json
    python benchmarks/paper_tables.py --only vit-cifar10 --samples 64 --profile-samples 8

Functions are fitted and measured as in function_error.py, networks converted as in accuracy.py: scope full, their own
calibration data, test data that calibration never saw. Published figures are those of other and larger networks on
other data, so columns compare losses, not metrics. What is ready in the JSON file is not measured again: delete its
rows there, or the file, to repeat it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from accuracy import BATCH_SIZE, converted
from function_error import PUBLISHED, PUBLISHED_BASES, measure
from paper_tables_page import page
from published import COUNTERPARTS, FITS, PAPER, SETTINGS, Row, setting_of

import onnx_snn
from onnx_snn import Profile
from onnx_snn.fitting.function_fit import fit_function
from onnx_snn.fitting.paper_neuron import fit_paper
from onnx_snn.neurons.functions import get
from onnx_snn.profiling.activity import NeuronActivity, ProductKind

OPERATORS = {
    "softmax exp2": "2^x of softmax",
    "softmax reciprocal": "1/x of softmax",
    "layer_norm deviation": "input of a norm",
    "layer_norm rsqrt": "1/sqrt(x) of a norm",
    "gelu": "GELU",
    "gelu_tanh": "GELU",
}
"""Rows of the table of spikes by kind of neuron."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing and write the tables."""
    options = _parser().parse_args(arguments)
    ready = options.output.with_suffix(".json")
    results: dict[str, list[Row]] = {"functions": [], "networks": []}
    if ready.exists():
        results = json.loads(ready.read_text())
    results["functions"] = results["functions"] or list(function_rows())
    for row in network_rows(options, tuple(results["networks"])):
        results["networks"].append(row)
        ready.write_text(json.dumps(results, indent=1) + "\n")
        print(f"{row['model']}, {row['preset']}, T={row['timesteps']}: {row['relative_loss']:.3%}", flush=True)
    options.output.write_text("\n".join(page(results)) + "\n")
    return 0


def function_rows() -> Iterator[Row]:
    """Mean squared errors of the fitted functions."""
    for name, published in PUBLISHED.items():
        for bases, error in zip(PUBLISHED_BASES, published, strict=True):
            errors = {
                setting_of(preset, steps): measure(
                    fit_paper if preset == PAPER else fit_function, get(name), bases, steps
                ).squared_error
                for preset, steps in FITS
            }
            yield {"function": name, "bases": bases, "published": error, **errors}


def network_rows(options: argparse.Namespace, ready: Sequence[Row]) -> Iterator[Row]:
    """Loss, spikes and energy of every network in every setting that is not among `ready`."""
    done = {(row["model"], row["preset"], row["timesteps"]) for row in ready}
    for model in COUNTERPARTS:
        folder = options.models / model
        if options.only and model not in options.only:
            continue
        for preset, timesteps in SETTINGS:
            if (model, preset, timesteps) not in done:
                yield {"model": model, "preset": preset, "timesteps": timesteps} | _measured(
                    folder, preset, timesteps, options
                )


def _measured(folder: Path, preset: str, timesteps: int, options: argparse.Namespace) -> Row:
    """One conversion: what it loses, fires and spends."""
    test = folder / "test.npz"
    with converted(folder, preset, timesteps) as (spiking, _):
        evaluation = onnx_snn.compare(
            folder / "model.onnx", spiking, test, batch_size=BATCH_SIZE, samples=options.samples
        )
        profile = onnx_snn.profile(spiking, test, samples=options.profile_samples)
    figures = profile.energy.figures()
    return {
        **evaluation.to_json(),
        "profile_samples": profile.samples,
        "spikes_per_element": spikes_by_operator(profile),
        "energy": {figure.rule.name: figure.ratio for figure in figures},
    }


def spikes_by_operator(profile: Profile) -> dict[str, float]:
    """Spikes per element of each row of the table of spikes, over all neurons that belong there."""
    met = {
        operand.neuron: product.kind is ProductKind.ACTIVATIONS
        for product in sorted(profile.products, key=lambda product: product.kind is ProductKind.ACTIVATIONS)
        for operand in product.operands
    }
    groups: dict[str, list[NeuronActivity]] = defaultdict(list)
    for neuron in profile.neurons:
        if neuron.kind == "identity":
            activations = met.get(neuron.node, False)
            groups[f"operand of {'an activation' if activations else 'a weight'} product"].append(neuron)
        else:
            groups[OPERATORS.get(neuron.kind, neuron.kind)].append(neuron)
    return {
        name: sum(neuron.total for neuron in members) / max(sum(neuron.elements for neuron in members), 1)
        for name, members in groups.items()
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/paper-tables.md"))
    parser.add_argument("--only", action="append", default=[], metavar="MODEL", help="measure only these networks")
    parser.add_argument("--samples", type=int, default=256, help="samples that losses are measured on")
    parser.add_argument("--profile-samples", type=int, default=32, help="samples that spikes are counted on")
    return parser


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Energy by every rule and the figures of NeuroBench of the networks of models/; writes docs/measurements/energy.md.

    python benchmarks/energy.py
    python benchmarks/energy.py --only roberta-mr --timesteps 8 4 --samples 64

Networks are converted once into `--folder`, where the files stay.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx_snn
from onnx_snn.formatting import table
from onnx_snn.profiling.energy import RULES

NETWORKS = ("vit-cifar10", "roberta-mr", "resnet-cifar10", "gpt2-war-and-peace")
FIGURES = (
    "network",
    "T",
    "footprint, MB",
    "zero weights",
    "sparsity",
    "by element",
    "ACs",
    "MACs",
    "dense",
    "by element",
    "ACs of attention",
    "updates",
)


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The figures of every network and number of time steps."""
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        for timesteps in options.timesteps:
            path, source = options.folder / f"{name}-T{timesteps}.onnx", options.models / name
            if not path.exists():
                onnx_snn.convert(source / "model.onnx", path, source / "calibration.npz", timesteps=timesteps)
            data = source / "test.npz"
            energy = onnx_snn.profile(path, data, samples=options.samples).energy
            measured = onnx_snn.neurobench(path, data, samples=options.samples, batch_size=1).to_json()
            for key in ("layers", "model"):
                measured.pop(key)
            measured["extension: products of two activations"].pop("nodes")
            yield {
                "network": name,
                "timesteps": timesteps,
                "samples": options.samples,
                "energy": {figure.rule.name: figure.to_json() for figure in energy.figures()},
                "neurobench": measured,
            }


def energy_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table of energies."""
    return row["network"], str(row["timesteps"]), *(f"{row['energy'][rule.name]['ratio']:.0%}" for rule in RULES)


def figure_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table of NeuroBench's figures."""
    found = row["neurobench"]
    operations, sparsity = found["SynapticOperations"], list(found["ActivationSparsity by denominator"].values())
    dense = list(operations["Dense by denominator"].values())
    extension = found["extension: products of two activations"]["SynapticOperations"]
    counts = (operations["Effective_ACs"], operations["Effective_MACs"], *dense)
    return (
        row["network"],
        str(row["timesteps"]),
        f"{found['Footprint'] / 1e6:.2f}",
        f"{found['ConnectionSparsity']:.4f}",
        *(f"{share:.3f}" for share in sparsity),
        *(f"{count:.2e}" for count in (*counts, extension["Effective_ACs"], found["MembraneUpdates"])),
    )


PAGE = """# Energy by rule, and NeuroBench

Written by `python benchmarks/energy.py`; do not edit. Networks of models/, scope full, on {samples} test samples.

## Energy of the spiking network over that of the original

A count of operations times a cost of each. The first rule is that of most papers, the last the strictest.

```text
{energy}
```

{rules}

## Figures of NeuroBench

By the definitions of neurobench 2.3, of one sample (`onnx-snn profile --neurobench`). Where two columns are alike, the
first takes every basis of an element as a neuron, the second all its bases as one. Products of two activations are no
layers of NeuroBench, so that ACs, MACs and dense operations are those of products with weights.

```text
{figures}
```
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write the page."""
    options = _parser().parse_args(arguments)
    measured = []
    for row in rows(options):
        measured.append(row)
        print("  ".join(energy_cells(row)), flush=True)
    page = PAGE.format(
        samples=options.samples,
        energy=table(("network", "T", *(rule.name for rule in RULES)), list(map(energy_cells, measured))),
        rules="\n".join(f"- *{rule.name}*: `{rule.formula}` ({rule.source})." for rule in RULES),
        figures=table(FIGURES, list(map(figure_cells, measured))),
    )
    options.output.write_text(page)
    options.output.with_suffix(".json").write_text(json.dumps(measured, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--timesteps", nargs="+", type=int, default=(8,), metavar="T")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--models", type=Path, default=Path("models"), help="where the networks are")
    parser.add_argument("--folder", type=Path, default=Path("build/replay"), help="where converted networks stay")
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/energy.md"))
    return parser


if __name__ == "__main__":
    sys.exit(main())

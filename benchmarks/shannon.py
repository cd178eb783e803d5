# SPDX-License-Identifier: Apache-2.0
"""Distance of codes from Shannon's bound, by kind of site, with neurons by rule and within the error budget.

    python benchmarks/shannon.py

The networks of models/ are converted with their calibration data; the figures are those of the conversion's report.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from kept_conversions import MODELS, NEURONS, TIMESTEPS, Conversions

from onnx_snn.conversion.report import KIND_LABELS
from onnx_snn.fitting.shannon_bound import least_spikes
from onnx_snn.formatting import table

HEADER = (
    "codes of",
    "T",
    "neurons",
    "codes",
    "bits/element",
    "spikes/element",
    "bound",
    "spikes / bound",
    "bound in T slots",
)

TEXT = """# Distance from Shannon's bound

*Bits*: what any code must tell of each element whose squared error on the calibrated histogram is that of the code,
the rate-distortion function. *Bound*: the fewest spikes per element that carry these bits in as many slots as the code
has, time steps times segments; the equations are in `onnx_snn/fitting/shannon_bound.py`. *Bound in T slots*: the same
for one slot for each time step, where that suffices for all codes. Means over the codes of the four networks of
models/. Neurons *by rule* are those of `--fast`, which are more exact than the error budget asks for, *within the
budget* those of the default. A code that several nodes read counts for each.

Codes are not at their bound for three reasons: they reach several times the calibrated maximum, so that values that
calibration did not see are not clipped; each element is coded by itself, with patterns of a fixed scheme, while the
bound allows any patterns; and few segments and steps are tried. Written by `python benchmarks/shannon.py`.
"""


class Code(NamedTuple):
    """The code of an operand.

    Attributes:
        bits: least bits for each element.
        spikes: spikes per element.
        bound: least spikes per element.
    """

    bits: float
    spikes: float
    bound: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert the networks, and write the page and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/shannon.md"))
    parser.add_argument("--conversions", type=Path, help="existing folder in which converted networks are kept")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        rows = list(_rows(options.models, Conversions(options.conversions or Path(scratch))))
    options.output.with_suffix(".json").write_text(json.dumps(rows, indent=2) + "\n")
    options.output.write_text(f"{TEXT}\n```text\n{table(HEADER, map(_cells, rows))}\n```\n")
    return 0


def _rows(models: Path, conversions: Conversions) -> Iterator[dict[str, Any]]:
    """Yield the means over all codes of each kind, for each T and choice of neurons."""
    codes: dict[tuple[str, int, str], list[Code]] = {}
    for timesteps in TIMESTEPS:
        for neurons in NEURONS:
            for name in MODELS:
                model, calibration = (models / name / file for file in ("model.onnx", "calibration.npz"))
                report = conversions.report(name, model, calibration, timesteps, neurons)
                print(name, timesteps, neurons, flush=True)
                for node in report["nodes"]:
                    for role, bound in node["least_spikes"].items():
                        code = Code(node["least_bits"][role], node["spikes"][role], bound)
                        codes.setdefault((KIND_LABELS[node["kind"]], timesteps, neurons), []).append(code)
    for (kind, timesteps, neurons), members in sorted(codes.items()):
        yield {"kind": kind, "timesteps": timesteps, "neurons": neurons, **_means(members, timesteps)}


def _means(codes: Sequence[Code], timesteps: int) -> dict[str, Any]:
    bits, spikes, bound = (float(np.mean(column)) for column in zip(*codes, strict=True))
    reached = all(code.bits <= timesteps for code in codes)
    single = float(np.mean([least_spikes(code.bits, timesteps) for code in codes])) if reached else None
    return {"codes": len(codes), "bits": bits, "spikes": spikes, "bound": bound, "bound_in_timesteps": single}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    single = row["bound_in_timesteps"]
    return (
        row["kind"],
        str(row["timesteps"]),
        row["neurons"],
        str(row["codes"]),
        f"{row['bits']:.2f}",
        f"{row['spikes']:.2f}",
        f"{row['bound']:.2f}",
        f"{row['spikes'] / row['bound']:.2f}",
        "" if single is None else f"{single:.2f}",
    )


if __name__ == "__main__":
    sys.exit(main())

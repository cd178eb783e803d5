# SPDX-License-Identifier: Apache-2.0
"""Output error of single samples that calibration never saw: the median, and how far the worst are from it.

    python benchmarks/output_errors.py --before before.json

Networks of models/ are calibrated on their calibration.npz and run on test.npz. *Quiet channels* are made: random
networks of two hidden layers, of which a tenth of the input channels carries a hundredth of its signal in calibration.
`--before` adds the columns of a JSON file that this script wrote with other code.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import onnx_snn
from onnx_snn.formatting import table

MODELS = ("vit-cifar10", "roberta-mr", "gpt2-war-and-peace", "resnet-cifar10")
TIMESTEPS = (4, 8, 16)
SAMPLES = 1200
QUIET = """<ir_version: 10, opset_import: ["": 20]>
quiet (float[N,64] x) => (float[N,16] y) {{
    a = MatMul (x, w1) {activation} c = MatMul (b, w2) d = Gelu (c) y = MatMul (d, w3) }}"""
ACTIVATIONS = {"gelu": "b = Gelu (a)", "relu": "b = Relu (a)", "softmax": "b = Softmax (a)"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the page and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/output-errors.md"))
    parser.add_argument("--before", type=Path, help="JSON file of former code")
    options = parser.parse_args(arguments)
    before = json.loads(options.before.read_text()) if options.before else {}
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, timesteps, errors in _errors(options.models, Path(folder)):
            rows[f"{name} {timesteps}"] = [
                float(each) for each in (np.median(errors), np.quantile(errors, 0.99), max(errors))
            ]
            print(name, timesteps, rows[f"{name} {timesteps}"], flush=True)
            options.output.with_suffix(".json").write_text(json.dumps(rows, indent=2) + "\n")
    options.output.write_text(_page(rows, before))
    return 0


def _errors(models: Path, folder: Path) -> Iterator[tuple[str, int, list[float]]]:
    """Yield name, T and the error of each sample of every network."""
    for name in MODELS:
        files = [models / name / file for file in ("model.onnx", "calibration.npz", "test.npz")]
        for timesteps in TIMESTEPS:
            yield name, timesteps, _of_network(files[0], files[1], _arrays(files[2]), timesteps, folder)
    for name, activation in ACTIVATIONS.items():
        model, seen, unseen = _quiet(activation, folder)
        for timesteps in TIMESTEPS:
            yield f"quiet channels, {name}", timesteps, _of_network(model, seen, unseen, timesteps, folder)


def _arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        return {name: file[name][:SAMPLES] for name in file.files if name != "labels"}


def _quiet(activation: str, folder: Path) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """A network whose input channels are partly quiet in calibration, with calibration data and other data."""
    random = np.random.default_rng(0)
    model = onnx.parser.parse_model(QUIET.format(activation=activation))
    for name, shape in (("w1", (64, 128)), ("w2", (128, 128)), ("w3", (128, 16))):
        weights = (random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    path = folder / "quiet.onnx"
    onnx.save(model, path)
    level = np.where(np.arange(64) < 6, 0.01, 1.0)
    seen, unseen = random.standard_normal((256, 64)), random.standard_normal((SAMPLES, 64))
    return path, {"x": (seen * level).astype(np.float32)}, {"x": unseen.astype(np.float32)}


def _of_network(model: Path, calibration: Any, data: dict[str, Any], timesteps: int, folder: Path) -> list[float]:
    """Relative error of the first output on every sample."""
    output = folder / "spiking.onnx"
    onnx_snn.convert(str(model), str(output), calibration, timesteps=timesteps, progress=False)
    exact, spiking = (onnx_snn.session(str(path)) for path in (model, output))
    names = [each.name for each in exact.get_inputs()]
    errors = []
    for i in range(len(data[names[0]])):
        feed = {name: data[name][i : i + 1] for name in names}
        expected, actual = (session.run(None, feed)[0].astype(np.float64) for session in (exact, spiking))
        errors.append(float(np.linalg.norm(actual - expected) / np.linalg.norm(expected)))
    return errors


def _page(rows: dict[str, list[float]], before: dict[str, list[float]]) -> str:
    header = ("network and T", "median", "99 %", "maximum", "maximum / median")
    cells = [(name, *(f"{each:.1e}" for each in row), f"{row[2] / row[0]:.1f}") for name, row in rows.items()]
    if before:
        header += ("before: median", "99 %", "maximum", "maximum / median")
        cells = [
            (*cell, *(f"{each:.1e}" for each in before[cell[0]]), f"{before[cell[0]][2] / before[cell[0]][0]:.1f}")
            for cell in cells
        ]
    text = " ".join(__doc__.split("\n\n")[2].split())
    return (
        "# Output errors of single samples\n\nRelative error of the first output on each sample of data that "
        f"calibration never saw, scope full, default options. {text} Written by `python benchmarks/output_errors.py`."
        f"\n\n```text\n{table(header, cells)}\n```\n"
    )


if __name__ == "__main__":
    sys.exit(main())

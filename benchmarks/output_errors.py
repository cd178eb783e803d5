# SPDX-License-Identifier: Apache-2.0
"""Output errors of single samples that calibration never saw: the median, and how far the worst are from it.

    python benchmarks/output_errors.py

Networks of models/ are calibrated on their calibration.npz and run on samples of test.npz, images also after their
values are multiplied by 1.5 and 2. *Quiet channels* are made: random networks of two or three layers, of which a tenth
of the input channels carries a hundredth of its signal in calibration. The networks are converted by default and, as
former versions did, by rule (`--fast`). Beside them are the originals with their weights rounded to bfloat16: an error
of no code and no range, which shows how much more sensitive some samples are than others.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import onnx
from kept_conversions import MODELS, NEURONS, TIMESTEPS, Conversions
from numpy.typing import NDArray

import onnx_snn
from onnx_snn.formatting import table

SAMPLES = 600
SCALES = (1.5, 2.0)
"""Factors of images, so that their values are beyond those of calibration."""

IMAGES = ("vit-cifar10", "resnet-cifar10")
BATCH_SIZE, COUNTED_SAMPLES = 16, 128
QUIET = """<ir_version: 10, opset_import: ["": 20]>
quiet (float[N,{shape}64] x) => (float[N,{shape}16] y) {{
    {body} c = MatMul (b, w2) d = Gelu (c) y = MatMul (d, w3) }}"""
BODIES = {
    "gelu": ("", "a = MatMul (x, w1) b = Gelu (a)"),
    "relu": ("", "a = MatMul (x, w1) b = Relu (a)"),
    "softmax": ("", "a = MatMul (x, w1) b = Softmax (a)"),
    "attention": (
        "4,",
        """k = MatMul (x, w4) q = Transpose <perm = [0, 2, 1]> (k) s = MatMul (k, q) p = Softmax (s)
        v = MatMul (p, x) b = MatMul (v, w1)""",
    ),
}
"""Shape of the samples, with the number of tokens if they have any, and first layer of each network."""

SHAPES = {"w1": (64, 128), "w2": (128, 128), "w3": (128, 16), "w4": (64, 4)}

HEADER = (
    "network",
    "T",
    "neurons",
    "rms: median",
    "99 %",
    "maximum",
    "max / median",
    "own: median",
    "99 %",
    "maximum",
    "max / median",
    "clipped",
)

TEXT = """# Output errors of single samples

{doc}

*rms*: norm of the error of a sample's first output over the root mean square of that norm of the original's output over
all samples. *Own*: over the norm of the original's output for that sample. The two logits of RoBERTa-MR are near 0 in
the samples that it is unsure about, and saturated in the others, so that there the own signal tells how sure the
network is, not how large an error is. *Clipped*: elements of codes beyond the largest magnitude that the code
represents, of all elements of all codes, on the first {counted} samples.

The worst samples of the trained networks, converted by default, are not clipped: the network is more sensitive there,
to errors of any kind, as the rows of rounded weights show. One is different: of the worst image times 1.5 of the ResNet
at T=4, 70 % of all values are the same one, so that the code of the input errs alike in all of them, and these errors
add up; it is not clipped either. Scope full. Written by `python benchmarks/output_errors.py`.
"""


class Network(NamedTuple):
    """A network with data.

    Attributes:
        name: its name.
        model: its file.
        calibration: data of its calibration.
        data: other data, the samples along the first axis.
    """

    name: str
    model: Path
    calibration: Any
    data: dict[str, NDArray[Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the page and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/output-errors.md"))
    parser.add_argument("--conversions", type=Path, help="existing folder in which converted networks are kept")
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        conversions = Conversions(options.conversions or Path(scratch))
        for network in _networks(options.models, Path(scratch)):
            for row in _measured(network, conversions):
                print(row, flush=True)
                rows.append(row)
                options.output.with_suffix(".json").write_text(json.dumps(rows, indent=2) + "\n")
    options.output.write_text(_page(rows))
    return 0


def _page(rows: Sequence[dict[str, Any]]) -> str:
    text = TEXT.format(doc=__doc__.split("\n\n", 2)[2].strip(), counted=COUNTED_SAMPLES)
    return f"{text}\n```text\n{table(HEADER, map(_cells, rows))}\n```\n"


def _networks(models: Path, folder: Path) -> Iterator[Network]:
    """Yield all networks."""
    for name in MODELS:
        file = models / name
        yield Network(name, file / "model.onnx", file / "calibration.npz", _arrays(file / "test.npz"))
    for name in BODIES:
        yield _quiet(name, folder)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as file:
        return {name: file[name][:SAMPLES] for name in file.files if name != "labels"}


def _quiet(name: str, folder: Path) -> Network:
    """A network whose input channels are partly quiet in calibration, with calibration data and other data."""
    random = np.random.default_rng(0)
    shape, body = BODIES[name]
    model = onnx.parser.parse_model(QUIET.format(shape=shape, body=body))
    read = {each for node in model.graph.node for each in node.input}
    for weight in (each for each in SHAPES if each in read):
        values = (random.standard_normal(SHAPES[weight]) / np.sqrt(SHAPES[weight][0])).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, weight))
    path = folder / f"quiet-{name}.onnx"
    onnx.save(model, path)
    tokens, level = (4,) if shape else (), np.where(np.arange(64) < 6, 0.01, 1.0)
    seen, unseen = (random.standard_normal((count, *tokens, 64)).astype(np.float32) for count in (256, SAMPLES))
    return Network(f"quiet channels, {name}", path, {"x": (seen * level).astype(np.float32)}, {"x": unseen})


def _measured(network: Network, conversions: Conversions) -> Iterator[dict[str, Any]]:
    """Yield the figures of all conversions of a network, on its data and on scaled data."""
    name, model, calibration, data = network
    spiking = {
        (timesteps, neurons): conversions(name.replace(", ", "-"), model, calibration, timesteps, neurons)
        for timesteps in TIMESTEPS
        for neurons in NEURONS
    }
    rounded = conversions.folder / f"{name}-bfloat16.onnx".replace(", ", "-")
    onnx.save(_rounded(onnx.load(model)), rounded)
    for scale in (1.0, *(SCALES if name in IMAGES else ())):
        scaled = {key: array * np.float32(scale) if scale != 1.0 else array for key, array in data.items()}
        label = name if scale == 1.0 else f"{name} times {scale:g}"
        expected = list(_outputs(model, scaled))
        yield {"network": label, "neurons": "bfloat16 weights", **_errors(expected, _outputs(rounded, scaled))}
        for (timesteps, neurons), path in spiking.items():
            if scale != 1.0 and NEURONS[neurons]:
                continue
            figures = _errors(expected, _outputs(path, scaled))
            clipped, elements = _clipped(path, scaled)
            kind = {"network": label, "timesteps": timesteps, "neurons": neurons}
            yield kind | figures | {"clipped": clipped, "elements": elements}


def _rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with its float32 weights rounded to the nearest bfloat16 values, in place."""
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.ndim >= 2:
            values = array.astype(ml_dtypes.bfloat16).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return model


def _outputs(model: Path, data: dict[str, NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield the first output for the samples of each batch, [samples, elements]."""
    session = onnx_snn.session(str(model))
    inputs = {each.name: data[each.name] for each in session.get_inputs()}
    for start in range(0, len(next(iter(inputs.values()))), BATCH_SIZE):
        feed = {name: array[start : start + BATCH_SIZE] for name, array in inputs.items()}
        output = session.run(None, feed)[0]
        yield output.reshape(len(output), -1)


def _errors(expected: Iterable[NDArray[Any]], actual: Iterable[NDArray[Any]]) -> dict[str, Any]:
    """Median, 99 % quantile and maximum of both errors of the samples, from the outputs for each batch."""
    errors, signals = np.concatenate(
        [np.linalg.norm([spiking - exact, exact], axis=2) for exact, spiking in zip(expected, actual, strict=True)],
        axis=1,
    )
    relative = {"rms": errors / np.sqrt(np.mean(signals**2)), "own": errors / signals}
    return {
        kind: [float(each) for each in (np.median(values), np.quantile(values, 0.99), values.max())]
        for kind, values in relative.items()
    }


def _clipped(path: Path, data: dict[str, NDArray[Any]]) -> tuple[int, int]:
    """Number of elements of codes beyond their range, and of all elements of codes, on the first samples."""
    profile = onnx_snn.profile(path, data, batch_size=BATCH_SIZE, samples=COUNTED_SAMPLES, progress=False)
    codes = [neuron for neuron in profile.neurons if neuron.is_code]
    return sum(code.out_of_range or 0 for code in codes), sum(code.elements for code in codes)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    cells = [row["network"], str(row.get("timesteps", "")), row["neurons"]]
    for kind in ("rms", "own"):
        cells += [*(f"{each:.1e}" for each in row[kind]), f"{row[kind][2] / row[kind][0]:.1f}"]
    return *cells, f"{row['clipped']:,} of {row['elements']:,}" if "clipped" in row else ""


if __name__ == "__main__":
    sys.exit(main())

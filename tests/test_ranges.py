# SPDX-License-Identifier: Apache-2.0
"""Ranges of codes on data that calibration did not see: what they clip, and channels that were quiet in calibration."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import onnx
import pytest
from networks import normal
from numpy.typing import NDArray

import onnx_snn
from onnx_snn.graph.model_reader import load_model
from onnx_snn.neurons.opset import Body
from onnx_snn.profiling.spike_outputs import meter

FEATURES, SAMPLES = 32, 400
LEVELS = np.where(np.arange(FEATURES) < 4, np.float32(0.01), np.float32(1.0))
"""Size of each channel in calibration relative to that later."""

LAYERS = "a = MatMul (x, w1) b = {} (a) c = MatMul (b, w2) d = Gelu (c) y = MatMul (d, w3)"
NETWORKS = {
    "gelu": LAYERS.format("Gelu"),
    "relu": LAYERS.format("Relu"),
    "softmax": LAYERS.format("Softmax"),
    "attention": """
        a = MatMul (x, w4) b = Transpose <perm = [0, 2, 1]> (a) c = MatMul (a, b) d = Softmax (c)
        e = MatMul (d, x) y = MatMul (e, w1)""",
}

SHAPES = {"w1": (FEATURES, 64), "w2": (64, 64), "w3": (64, 8), "w4": (FEATURES, 4)}


def network(name: str) -> onnx.ModelProto:
    """A network of random weights, whose layers have outputs about as large as their inputs."""
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 20]> quiet (float[N,4,32] x) => (float[N,4,M] y) {' + NETWORKS[name] + "}"
    )
    for seed, (weight, shape) in enumerate(SHAPES.items()):
        values = normal(*shape, seed=seed) / np.float32(np.sqrt(shape[0]))
        if weight in {each for node in model.graph.node for each in node.input}:
            model.graph.initializer.append(onnx.numpy_helper.from_array(values, weight))
    return model


def errors(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> NDArray[np.float64]:
    """Relative error of each sample."""
    axes = tuple(range(1, expected.ndim))
    return np.sqrt(
        ((actual - expected).astype(np.float64) ** 2).sum(axes) / (expected.astype(np.float64) ** 2).sum(axes)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("fast", [True, False], ids=["by rule", "chosen"])
def test_channels_that_are_louder_than_in_calibration(name: str, fast: bool, tmp_path: Path) -> None:
    """No value is clipped, and the worst sample errs no more than five times as much as the median one."""
    model, path = tmp_path / "model.onnx", tmp_path / "spiking.onnx"
    onnx.save(network(name), model)
    onnx_snn.convert(model, path, {"x": normal(32, 4, FEATURES) * LEVELS}, fast=fast, progress=False)
    unseen = {"x": normal(SAMPLES, 4, FEATURES, seed=7)}
    expected, actual = (onnx_snn.session(str(file)).run(None, unseen)[0] for file in (model, path))
    worst = errors(expected, actual)
    assert worst.max() <= 5.0 * np.median(worst)
    profile = onnx_snn.profile(path, unseen, progress=False)
    assert {neuron.out_of_range for neuron in profile.neurons if neuron.is_code} == {0}


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0])
def test_codes_clip_what_scaled_data_have_beyond_their_ranges(scale: float, tmp_path: Path) -> None:
    """Every code of the network, counted by element in NumPy; data of calibration reach the end of no range."""
    path, seen = tmp_path / "spiking.onnx", normal(16, 8)
    onnx_snn.convert(networks.classifier(), path, {"x": seen}, headroom=1.25, fast=True, progress=False)
    data = {"x": seen * np.float32(scale)}
    outside = {
        neuron.node: neuron.out_of_range
        for neuron in onnx_snn.profile(path, data, progress=False).neurons
        if neuron.is_code
    }
    model = load_model(path)
    meters = [entry for entry in meter(model, Body.LOOP) if entry.node.name in outside]
    model.graph.outputs.extend(entry.node.inputs[0] for entry in meters if entry.node.inputs[0].name != "x")
    session = networks.session(model)
    for entry in meters:
        name = entry.node.inputs[0].name
        x = data["x"] if name == "x" else session.run([name], data)[0]
        outputs = entry.neuron(x / entry.node.inputs[-1].const_value.numpy())
        assert outside[entry.node.name] == (np.abs(outputs) == entry.neuron(np.float32([1e30]))).sum()
    assert (sum(outside.values()) > 0) == (scale > 1.25)

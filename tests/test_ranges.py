# SPDX-License-Identifier: Apache-2.0
"""Ranges of codes on data that calibration did not see: channels that were quiet in calibration and are loud later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import normal
from numpy.typing import NDArray

import onnx_snn

FEATURES, QUIET, SAMPLES = 32, 4, 400

NETWORK = """<ir_version: 10, opset_import: ["": 20]>
quiet (float[N,32] x) => (float[N,8] y) {{
    a = MatMul (x, w1) b = {activation} (a) c = MatMul (b, w2) d = Gelu (c) y = MatMul (d, w3) }}"""


def network(activation: str) -> onnx.ModelProto:
    """Three layers of random weights, whose outputs are about as large as their inputs."""
    model = onnx.parser.parse_model(NETWORK.format(activation=activation))
    for seed, (name, shape) in enumerate({"w1": (FEATURES, 64), "w2": (64, 64), "w3": (64, 8)}.items()):
        weights = normal(*shape, seed=seed) / np.float32(np.sqrt(shape[0]))
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    return model


def errors(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> NDArray[np.float64]:
    """Relative error of each sample."""
    return np.linalg.norm(actual - expected, axis=1) / np.linalg.norm(expected, axis=1).astype(np.float64)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["Gelu", "Relu", "Softmax"])
@pytest.mark.parametrize("fast", [True, False], ids=["by rule", "chosen"])
def test_channels_that_are_a_hundred_times_louder_than_in_calibration(
    activation: str, fast: bool, tmp_path: Path
) -> None:
    """No value is clipped, and the worst sample errs no more than five times as much as the median one."""
    model, path = tmp_path / "model.onnx", tmp_path / "spiking.onnx"
    onnx.save(network(activation), model)
    level = np.where(np.arange(FEATURES) < QUIET, np.float32(0.01), np.float32(1.0))
    onnx_snn.convert(model, path, {"x": normal(128, FEATURES) * level}, fast=fast, progress=False)
    unseen = {"x": normal(SAMPLES, FEATURES, seed=7)}
    expected, actual = (onnx_snn.session(str(file)).run(None, unseen)[0] for file in (model, path))
    worst = errors(expected, actual)
    assert worst.max() <= 5.0 * np.median(worst)
    profile = onnx_snn.profile(path, unseen, progress=False)
    assert {neuron.out_of_range for neuron in profile.neurons if neuron.is_code} == {0}

# SPDX-License-Identifier: Apache-2.0
"""Data that is not finite is taken where the network makes finite outputs of it, and named elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import normal, relative_error, run

import onnx_snn
from onnx_snn.errors import CalibrationError, ModelError

MASKED = """
    <ir_version: 9, opset_import: ["" : 17]>
    main (float[N, 4, 8] x, float[4, 4] mask) => (float[N, 4, 8] y) {
        k = Transpose <perm = [0, 2, 1]> (x)
        s = MatMul (x, k)
        m = Add (s, mask)
        p = Softmax <axis = -1> (m)
        y = MatMul (p, x)
    }
"""
IMPUTED = """
    <ir_version: 9, opset_import: ["" : 17]>
    main (float[N, 8] x) => (float[N, 8] y) <float mean = {0.5}> {
        missing = IsNaN (x)
        known = Where (missing, mean, x)
        y = Tanh (known)
    }
"""
SQUASHED = """
    <ir_version: 9, opset_import: ["" : 17]>
    main (float[N, 8] x) => (float[N, 8] y) { y = Sigmoid (x) }
"""
CAUSAL = np.where(np.tri(4, dtype=bool), 0, -np.inf).astype(np.float32)


def spoilt(value: float) -> np.ndarray:
    x = normal(6, 8)
    x[2, 3] = value
    return x


def saved(text: str, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    return path


@pytest.mark.parametrize(
    ("text", "feeds"),
    [
        (MASKED, [{"x": normal(2, 4, 8, seed=seed), "mask": CAUSAL} for seed in range(3)]),
        (IMPUTED, [{"x": spoilt(np.nan)}]),
    ],
    ids=["mask", "missing values"],
)
def test_what_the_network_turns_into_finite_outputs_is_taken(text: str, feeds: list, tmp_path: Path) -> None:
    path, spiking = saved(text, tmp_path), tmp_path / "spiking.onnx"
    report = onnx_snn.convert(path, spiking, feeds, progress=False)
    assert not report.warnings
    assert relative_error(run(path, feeds[0])["y"], run(spiking, feeds[0])["y"]) < 0.02
    assert onnx_snn.compare(path, spiking, feeds, progress=False).relative_error < 0.02
    assert onnx_snn.profile(spiking, feeds, progress=False).samples > 0


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_spoils_the_outputs_is_named(value: float, tmp_path: Path) -> None:
    path = saved(MASKED, tmp_path)
    x = normal(2, 4, 8)
    x[1, 2, 3] = value
    feeds = [{"x": normal(2, 4, 8), "mask": CAUSAL}, {"x": x, "mask": CAUSAL}]
    message = rf"feed 1 of the data: input 'x' holds {value} at \(1, 2, 3\), of which .* not finite: 'y' holds "
    with pytest.raises(CalibrationError, match=message):
        onnx_snn.convert(path, tmp_path / "spiking.onnx", feeds, progress=False)
    onnx_snn.convert(path, tmp_path / "spiking.onnx", feeds[:1], progress=False)
    with pytest.raises(CalibrationError, match=message):
        onnx_snn.compare(path, tmp_path / "spiking.onnx", feeds, progress=False)


def test_an_infinity_that_reaches_a_neuron_is_a_reason(tmp_path: Path) -> None:
    path, feeds = saved(SQUASHED, tmp_path), [{"x": spoilt(np.inf)}]
    with pytest.raises(ModelError, match="y: calibration saw 0 NaN and 1 infinities at its input"):
        onnx_snn.convert(path, tmp_path / "spiking.onnx", feeds, progress=False)

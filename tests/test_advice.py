# SPDX-License-Identifier: Apache-2.0
"""Advice after a conversion: thin data is told by samples held back, and a node of most of the error by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conversions import WEIGHT, converted
from graphs import graph
from networks import normal

import onnx_snn
from onnx_snn.conversion import pipeline
from onnx_snn.conversion.held_back import HeldBack
from onnx_snn.evaluation.evaluation import Evaluation
from onnx_snn.evaluation.node_sensitivity import NodeSensitivity, Sensitivity
from onnx_snn.evaluation.remedies import remedies


@pytest.mark.parametrize(
    ("seen", "unseen", "thin"),
    [(0.001, 0.07, True), (0.03, 0.07, True), (0.04, 0.07, False), (1e-4, 7e-3, False), (0.0, 0.01, True)],
)
def test_thin_data_errs_by_a_multiple_that_matters(seen: float, unseen: float, thin: bool) -> None:
    held = HeldBack(seen, unseen, 8, 0.015)
    assert held.thin is thin
    assert bool(held.warning()) is thin
    if thin:
        assert f"{unseen:.2%}" in held.warning()


@pytest.mark.slow
@pytest.mark.parametrize(("state", "warned"), [(np.zeros((8, 4, 8), np.float32), True), (normal(8, 4, 8), False)])
def test_an_input_that_is_zero_in_all_data_is_told(state: np.ndarray, warned: bool, tmp_path: Path) -> None:
    model = graph(
        "m = MatMul (x, weight) s = MatMul (state, weight) next = Add (m, s) y = Tanh (next)",
        inputs="float[N,4,8] x, float[N,4,8] state",
        outputs="float[N,4,8] y, float[N,4,8] next",
        initializers=WEIGHT,
    )
    _, report = converted(model, tmp_path, {"x": normal(8, 4, 8), "state": state})
    found = [warning for warning in report.warnings if "'state'" in warning]
    assert len(found) == warned
    assert all("states that the network returned" in warning and "'x'" not in warning for warning in found)


def test_silent_tensors_of_loud_inputs_are_not_told(tmp_path: Path) -> None:
    """A dead Relu is one of the network, not of the data."""
    model = graph("n = Abs (x) m = Neg (n) r = Relu (m) y = MatMul (r, weight)", initializers=WEIGHT)
    _, report = converted(model, tmp_path, {"x": normal(8, 4, 8)})
    assert not [warning for warning in report.warnings if "are 0 in all" in warning]


def evaluation(error: float) -> Evaluation:
    return Evaluation("y", 2, "", np.nan, np.nan, np.nan, 1.0, error, error)


def node(name: str, error: float, source: str = "identity", clipped: float | None = 0.0) -> NodeSensitivity:
    return NodeSensitivity(
        name, source, ("reader",), 30.0, 0.1, evaluation(error), evaluation(0.01), 1 if clipped else 0, clipped
    )


def test_nodes_of_most_of_the_error_are_named() -> None:
    whole = evaluation(0.10)
    (advice,) = remedies(Sensitivity(whole, (node("p/code", 0.09), node("q/code", 0.01))))
    assert "p/code (identity) alone makes an error of 9.00%" in advice
    assert "--exclude reader)" in advice
    (advice,) = remedies(Sensitivity(whole, (node("f", 0.09, "gelu", None), node("g", 0.06, "tanh", None))))
    assert "--exclude f g)" in advice
    assert "1 more" in advice


def test_an_error_of_many_nodes_or_of_none_has_no_advice() -> None:
    nodes = tuple(node(f"n{i}", 0.03) for i in range(10))
    assert remedies(Sensitivity(evaluation(0.10), nodes)) == []
    assert remedies(Sensitivity(evaluation(0.0), (node("n", 0.0),))) == []


def test_a_code_that_clips_gets_range() -> None:
    whole = evaluation(0.10)
    found = remedies(Sensitivity(whole, (node("p/code", 0.09, clipped=0.9),), "a larger headroom"))
    assert found == ["a larger headroom"]


MEL = """<ir_version: 8, opset_import: ["": 17]> main (float[N, 8] x) => (float[N, 4] y) {
    power = MatMul(x, w)
    square = Mul(power, power)
    mel = MatMul(square, v)
    offset = Add(mel, eps)
    log = Log(offset)
    y = MatMul(log, u)
}"""
"""A logarithm of band powers, as of a mel spectrogram: what is quiet counts as much as what is loud."""


TANH = """<ir_version: 8, opset_import: ["": 17]> main (float[N, 8] x) => (float[N, 8] y) {
    h = MatMul(x, w)
    y = Tanh(h)
}"""


def weighted(text: str, weights: dict[str, Any]) -> onnx.ModelProto:
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return model


def mel() -> onnx.ModelProto:
    weights = {"w": normal(8, 8), "v": np.abs(normal(8, 6, seed=1)), "u": normal(6, 4, seed=2)}
    return weighted(MEL, weights | {"eps": np.float32([1e-6])})


def quiet(samples: int, octaves: float) -> Any:
    loudness = 2.0 ** -np.linspace(0.0, octaves, samples)[:, None]
    return (normal(samples, 8, seed=3) * loudness).astype(np.float32)


@pytest.mark.slow
def test_what_a_logarithm_of_quiet_signals_needs_exact_is_named(tmp_path: Path) -> None:
    def convert(**options: Any) -> onnx_snn.ConversionReport:
        path, data = tmp_path / "snn.onnx", {"x": quiet(16, 14.0)}
        return onnx_snn.convert(mel(), path, data, timesteps=4, fast=True, progress=False, **options)

    report = convert()
    (warning,) = report.warnings
    assert report.outputs[0].relative_error > report.config.error_budget
    names = warning.partition("--exclude ")[2].partition(")")[0].split()
    assert names
    text = " ".join(report.text().split())
    assert " ".join(warning.split()) in text
    mended = convert(exclude=names)
    assert mended.outputs[0].relative_error < report.outputs[0].relative_error / 2


@pytest.mark.slow
def test_samples_held_back_tell_thin_data_and_do_not_change_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rich = weighted(TANH, {"w": normal(8, 8)}), normal(32, 8)

    def convert(data: Any) -> tuple[onnx_snn.ConversionReport, bytes]:
        path = tmp_path / "snn.onnx"
        return onnx_snn.convert(model, path, {"x": data}, timesteps=4, progress=False), path.read_bytes()

    report, file = convert(rich)
    assert report.held_back is not None
    assert report.held_back.samples == 16
    assert not report.held_back.thin
    assert report.warnings == ()
    thin, _ = convert(np.float32([2e-2] * 16 + [1.0] * 16)[:, None] * rich)
    assert thin.held_back is not None
    assert thin.held_back.thin
    assert thin.held_back.warning() in thin.warnings
    assert "thin" in thin.text()
    few, _ = convert(rich[:15])
    assert few.held_back is None, "halves of so few samples tell nothing"
    monkeypatch.setattr(pipeline, "held_back_error", lambda *_: None)
    assert convert(rich)[1] == file

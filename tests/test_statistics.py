# SPDX-License-Identifier: Apache-2.0
"""Calibration sees every element of every observed tensor, and nothing but the original model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from observed_network import OBSERVATIONS, WEIGHTS, assert_same, feeds, network

from onnx_snn.calibration import statistics as module
from onnx_snn.calibration.cache import cache_key
from onnx_snn.calibration.fixed_sizes import static_axes
from onnx_snn.calibration.statistics import Calibration, Observation, calibrate
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.errors import CalibrationError, ModelError
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model


@pytest.fixture
def model() -> ir.Model:
    return network()


def expected(model: ir.Model) -> dict[str, list[np.ndarray]]:
    """The observed tensors, computed by NumPy."""
    tensors: dict[str, list[np.ndarray]] = {name: [] for name in ("x", "h", "k", "scores", "y")}
    for feed in feeds(model):
        h = feed["x"] @ WEIGHTS
        split = h.reshape(*h.shape[:2], 4, 8)
        k, q = split.transpose(0, 2, 3, 1), split.transpose(0, 2, 1, 3)
        values = (feed["x"], h, k, q @ k, -np.maximum(h, 0))
        for name, value in zip(tensors, values, strict=True):
            tensors[name].append(value)
    return tensors


def assert_complete(calibration: Calibration, tensors: dict[str, list[np.ndarray]]) -> None:
    assert set(calibration.signed) == set(tensors)
    for name, arrays in tensors.items():
        values = np.concatenate([array.ravel() for array in arrays])
        histogram = calibration.signed[name]
        assert histogram.count == values.size
        assert calibration.shapes[name] == {array.shape for array in arrays}
        np.testing.assert_allclose([histogram.minimum, histogram.maximum], [values.min(), values.max()], rtol=1e-5)
    for (name, axes), channels in calibration.channels.items():
        arrays = [np.moveaxis(array, axes, range(len(axes))) for array in tensors[name]]
        rows = np.concatenate([array.reshape(channels.channels, -1) for array in arrays], axis=1)
        np.testing.assert_allclose(channels.maximum(), np.abs(rows).max(axis=1), rtol=1e-5)
        assert channels.count == rows.size


def test_every_element_is_observed(model: ir.Model) -> None:
    calibration = calibrate(model, OBSERVATIONS, feeds(model), progress=False)
    assert calibration.samples == 10
    assert set(calibration.channels) == {("h", (2,)), ("k", (1, 2)), ("k", (1,)), ("y", (-1,))}
    assert_complete(calibration, expected(model))


@pytest.mark.parametrize("budget", [1, 4000, 1 << 30])
def test_groups_change_nothing_but_the_number_of_passes(
    budget: int, model: ir.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GROUP_BYTES", budget)
    source = (feed for feed in feeds(model))
    calibration = calibrate(model, OBSERVATIONS, open_feeds(source, input_specs(model)), progress=False)
    assert calibration.samples == 10
    assert_complete(calibration, expected(model))


def test_the_model_stays_as_it_is(model: ir.Model) -> None:
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    calibrate(model, OBSERVATIONS, feeds(model), progress=False)
    static_axes(model, ["h"], feeds(model).first())
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_mapped_weights_give_the_same(model: ir.Model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "model.onnx", external_data=True)
    mapped = load_model(tmp_path / "model.onnx")
    assert cache_key(mapped, OBSERVATIONS, feeds(model)) == cache_key(model, OBSERVATIONS, feeds(model))
    assert_same(
        calibrate(mapped, OBSERVATIONS, feeds(model), progress=False),
        calibrate(model, OBSERVATIONS, feeds(model), progress=False),
    )


def test_nonfinite_activations_are_counted(model: ir.Model) -> None:
    calibration = calibrate(model, [Observation("root", (2,))], feeds(model), progress=False)
    total = 10 * 5 * 32
    histogram = calibration.signed["root"]
    assert 0 < histogram.nan_count == total - histogram.count
    assert calibration.channels["root", (2,)].nonfinite_count == histogram.nan_count


def test_half_precision_is_observed() -> None:
    text = '<ir_version: 8, opset_import: ["": 17]> main (float16[N] x) => (float16[N] y) { y = Neg(x) }'
    model = ir.from_proto(onnx.parser.parse_model(text))
    data = open_feeds({"x": np.arange(6, dtype=np.float16)}, input_specs(model))
    assert calibrate(model, [Observation("y")], data, progress=False).signed["y"].minimum == -5


def test_strings_may_be_inputs() -> None:
    text = """<ir_version: 8, opset_import: ["": 17]>
        main (string[N] s, float[N] x) => (string[N] t, float[N] y) { t = Identity(s) y = Neg(x) }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    data = open_feeds({"s": np.array(["a", "b"], object), "x": np.float32([1, 2])}, input_specs(model))
    assert calibrate(model, [Observation("y")], data, progress=False).signed["y"].count == 2


def test_own_session_options_are_used(model: ir.Model) -> None:
    made = []

    def options() -> ort.SessionOptions:
        made.append(ort.SessionOptions())
        return made[-1]

    calibrate(model, OBSERVATIONS, feeds(model), session_options=options, progress=False)
    assert len(made) == 2


@pytest.mark.parametrize("flags", [(True,), (False,), (True, False, True)])
def test_what_lies_in_a_branch_is_observed_in_the_runs_that_take_it(flags: tuple[bool, ...], model: ir.Model) -> None:
    data = [feed | {"flag": np.array(flag)} for feed, flag in zip(feeds(model, 14), flags, strict=False)]
    source = open_feeds(data, input_specs(model))
    observations = [Observation("inner", (2,)), Observation("b", (1, 2))]
    calibration = calibrate(model, observations, source, typical=data, progress=False)
    hidden = [(flag, np.maximum(feed["x"] @ WEIGHTS, 0)) for feed, flag in zip(data, flags, strict=True)]
    taken = {"inner": [h for flag, h in hidden if flag], "b": [h for flag, h in hidden if not flag]}
    assert_complete(calibration, {name: arrays for name, arrays in taken.items() if arrays})


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (Observation("score"), r"no tensor 'score'; close names are \['scores'\]"),
        (Observation("size"), "'size' holds int64"),
        (Observation("h", (3,)), r"axes \(3,\) of tensor 'h'"),
        (Observation("x", (0,)), r"axes \(0,\) of tensor 'x'.*do not hold 4 channels"),
    ],
)
def test_what_cannot_be_observed_is_named(observation: Observation, message: str, model: ir.Model) -> None:
    with pytest.raises(CalibrationError, match=message):
        calibrate(model, [observation], feeds(model), progress=False)


def test_a_run_that_fails_is_named(model: ir.Model) -> None:
    model.graph.inputs[0].shape = ir.Shape(["batch", "length", "width"])
    data = [{"x": np.ones((2, 5, 7), np.float32), "flag": np.array(True)}]
    with pytest.raises(CalibrationError, match=r"\(2, 5, 7\)"):
        calibrate(model, OBSERVATIONS, open_feeds(data, input_specs(model)), progress=False)


def test_an_unknown_operator_is_named() -> None:
    text = """<ir_version: 8, opset_import: ["": 17, "acme": 1]>
        main (float[N] x) => (float[N] y) { y = acme.Frobnicate(x) }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    with pytest.raises(ModelError, match="Frobnicate"):
        calibrate(model, [Observation("y")], open_feeds({"x": np.ones(3, np.float32)}, input_specs(model)))

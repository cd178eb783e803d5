# SPDX-License-Identifier: Apache-2.0
"""Models and calibration data in every form that a conversion takes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from conversions import WEIGHT, X, converted
from graphs import graph
from networks import FULL_BASES, Feeds, normal, run
from onnxruntime_tools import Reader

import onnx_snn
from onnx_snn import CalibrationError, ModelError
from onnx_snn.conversion import calibrated_sites
from onnx_snn.graph import model_writer
from onnx_snn.graph.model_writer import weight_files


@pytest.mark.slow
def test_the_model_that_is_given_stays_as_it_is(tmp_path: Path) -> None:
    proto, model = networks.classifier(), ir.from_proto(networks.classifier())
    before = proto.SerializeToString(deterministic=True), ir.to_proto(model).SerializeToString()
    first, _ = converted(proto, tmp_path, {"x": normal(8, 8)})
    bytes_of_first = first.read_bytes()
    second, _ = converted(model, tmp_path, {"x": normal(8, 8)})
    assert (proto.SerializeToString(deterministic=True), ir.to_proto(model).SerializeToString()) == before
    assert second.read_bytes() == bytes_of_first


@pytest.mark.slow
def test_a_path_may_be_text_or_an_object(tmp_path: Path) -> None:
    onnx.save(networks.classifier(), tmp_path / "model.onnx")
    results = set()
    for source in (tmp_path / "model.onnx", str(tmp_path / "model.onnx")):
        converted(source, tmp_path, {"x": normal(8, 8)})
        results.add((tmp_path / "spiking.onnx").read_bytes())
    assert len(results) == 1


@pytest.mark.parametrize("model", [None, 3, b"bytes"], ids=str)
def test_what_is_no_model_is_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"model is a {type(model).__name__}; expected a path, a ModelProto"):
        converted(model, tmp_path)


def test_the_standard_domain_may_go_by_its_long_name(tmp_path: Path) -> None:
    model = networks.classifier()
    model.opset_import[0].domain = "ai.onnx"
    path, _ = converted(model, tmp_path, {"x": normal(8, 8)})
    assert run(path, {"x": normal(8, 8)})["scores"].shape == (8, 5)


def test_weights_that_are_inputs_as_well_stay_so(tmp_path: Path) -> None:
    model = networks.classifier()
    model.graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in model.graph.initializer
    )
    path, _ = converted(model, tmp_path, {"x": normal(8, 8)})
    assert [value.name for value in onnx.load(path).graph.input] == ["x", "first_weight", "second_weight"]


@pytest.mark.parametrize("size", [0.0, 1e-15, 1e15])
@pytest.mark.parametrize("body", ["y = Gelu (x)", "y = MatMul (x, weight)"])
def test_silent_tiny_and_huge_signals_are_converted(body: str, size: float, tmp_path: Path) -> None:
    model = graph(body, initializers=WEIGHT)
    feeds = {"x": X["x"] * np.float32(size)}
    path, _ = converted(model, tmp_path, feeds)
    expected, got = run(model, feeds)["y"], run(path, feeds)["y"]
    np.testing.assert_allclose(got, expected, rtol=0, atol=max(0.005 * np.abs(expected).max(), 1e-6))


@pytest.mark.slow
def test_every_form_of_the_same_data_gives_the_same_file(tmp_path: Path) -> None:
    x = normal(8, 8)
    halves: list[Feeds] = [{"x": x[:4]}, {"x": x[4:]}]
    np.savez(tmp_path / "data.npz", x=x, labels=np.zeros(8))

    def generator() -> Iterator[Feeds]:
        yield from halves

    sources = [
        {"x": x},
        tmp_path / "data.npz",
        str(tmp_path / "data.npz"),
        halves,
        generator(),
        Reader(halves),
    ]
    results = set()
    for source in sources:
        path, report = converted(networks.classifier(), tmp_path, source)
        results.add(path.read_bytes())
        assert report.calibration_samples == 8
    assert len(results) == 1


def test_at_most_the_samples_asked_for_are_used(tmp_path: Path) -> None:
    _, report = converted(networks.classifier(), tmp_path, {"x": normal(8, 8)}, calibration_samples=3)
    assert report.calibration_samples == 3


@pytest.mark.slow
def test_external_weights_come_in_and_go_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"x": normal(8, 8)}
    inline = converted(networks.classifier(), tmp_path, data)[0].read_bytes()
    source = tmp_path / "source.onnx"
    onnx.save(networks.classifier(), source, save_as_external_data=True, location="weights", size_threshold=0)
    weights = (tmp_path / "weights").read_bytes()

    onnx_snn.convert(source, tmp_path / "in.onnx", data, body="closed", fast=True)
    assert (
        run(tmp_path / "in.onnx", data)["scores"].tobytes()
        == run(onnx.load_from_string(inline), data)["scores"].tobytes()
    )

    monkeypatch.setattr(model_writer, "MAX_INLINE_BYTES", 100)
    onnx_snn.convert(source, tmp_path / "out.onnx", data, body="closed", fast=True)
    assert weight_files(tmp_path / "out.onnx")[0].stat().st_size > 0
    assert run(tmp_path / "out.onnx", data)["scores"].tobytes() == run(tmp_path / "in.onnx", data)["scores"].tobytes()
    assert (tmp_path / "weights").read_bytes() == weights


def test_stages_are_logged_and_timed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="onnx_snn.conversion.stopwatch"):
        _, report = converted(graph("y = Gelu (x)"), tmp_path, **FULL_BASES)
    stages = ["load", "decompose", "recognise", "calibrate", "fit", "rewrite", "verify", "save", "profile", "advise"]
    assert list(report.seconds) == stages
    assert [record.message for record in caplog.records if record.name == "onnx_snn.conversion.stopwatch"] == stages


# --- calibration cache ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_cache_stands_in_for_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, data = tmp_path / "seen.npz", {"x": normal(8, 8)}
    first = converted(networks.classifier(), tmp_path, data, calibration_cache=cache)[0].read_bytes()
    kept = cache.read_bytes()
    monkeypatch.setattr(calibrated_sites, "calibrate", lambda *_, **__: pytest.fail("calibrated again"))
    again, report = converted(networks.classifier(), tmp_path, data, calibration_cache=cache)
    assert again.read_bytes() == first
    assert cache.read_bytes() == kept
    assert report.calibration_samples == 8


def test_a_cache_of_another_model_is_refused(tmp_path: Path) -> None:
    cache = tmp_path / "seen.npz"
    converted(networks.classifier(), tmp_path, {"x": normal(8, 8)}, calibration_cache=cache)
    with pytest.raises(CalibrationError, match="made for another model or other settings"):
        converted(graph("y = Gelu (x)"), tmp_path, calibration_cache=cache)


def test_images_of_other_proportions(tmp_path: Path) -> None:
    """Excited channels of images, upright and across, of a network that takes even sizes only."""
    model = graph(
        """mean = GlobalAveragePool(x) gate = Sigmoid(mean) excited = Mul(x, gate)
           small = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(excited)
           large = Resize<mode = "nearest">(small, , twice) y = Add(x, large)""",
        inputs="float[N,4,H,W] x",
        outputs="float[N,4,H,W] y",
        initializers="float[4] twice = {1,1,2,2}",
    )
    upright, across, wide = normal(1, 4, 6, 2), normal(1, 4, 2, 6), normal(1, 4, 2, 14)
    path, _ = converted(model, tmp_path, [{"x": across}, {"x": upright}], timesteps=4)
    assert run(path, {"x": wide})["y"].shape == wide.shape


def test_feeds_stay_whole_where_the_network_runs_on_no_single_sample(tmp_path: Path) -> None:
    """The mean of four views of each sample: a batch has no fixed size, but one of a single row does not run."""
    body = "g = Gelu (x) r = Reshape (g, views) y = ReduceMean <keepdims = 0> (r, first)"
    model = graph(
        body,
        inputs="float[N,8] x",
        outputs="float[M,8] y",
        initializers="int64[3] views = {4, -1, 8}, int64[1] first = {0}",
    )
    x = np.random.default_rng(0).normal(0, 1, (3, 8, 8)).astype(np.float32)
    _, report = converted(model, tmp_path, [{"x": part} for part in x], fast=False)
    assert report.outputs[0].relative_error < 0.02

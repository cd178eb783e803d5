# SPDX-License-Identifier: Apache-2.0
"""A calibration cache gives back what was written, for the same model and the same data, or says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from observed_network import OBSERVATIONS, WEIGHTS, assert_same, feeds, network

import onnx_snn
from onnx_snn.calibration.cache import _checksum, cache_key, load_cache, save_cache
from onnx_snn.calibration.statistics import Calibration, calibrate
from onnx_snn.data.feeds import Feeds, open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.errors import CalibrationError, OutputError


@pytest.fixture
def model() -> ir.Model:
    return network()


@pytest.fixture
def cache(model: ir.Model, tmp_path: Path) -> Path:
    save_cache(
        calibrate(model, OBSERVATIONS, feeds(model), progress=False),
        tmp_path / "cache.npz",
        cache_key(model, OBSERVATIONS, feeds(model)),
    )
    return tmp_path / "cache.npz"


def test_it_holds_everything(model: ir.Model, cache: Path) -> None:
    assert [file.name for file in cache.parent.iterdir()] == [cache.name]
    calibration = calibrate(model, OBSERVATIONS, feeds(model), progress=False)
    assert_same(load_cache(cache, cache_key(model, OBSERVATIONS, feeds(model))), calibration)
    assert_same(load_cache(cache, cache_key(model.clone(), reversed(OBSERVATIONS), feeds(model))), calibration)


def other_weights(model: ir.Model) -> None:
    changed = WEIGHTS.copy()
    changed[3, 4] += 1
    model.graph.initializers["w"].const_value = ir.tensor(changed, name="w")


def other_graph(model: ir.Model) -> None:
    model.graph.node("root").op_type = "Exp"


@pytest.mark.parametrize("change", [other_weights, other_graph, None])
def test_that_of_another_model_or_other_observations_is_refused(change: Any, model: ir.Model, cache: Path) -> None:
    for node in model.graph:
        node.name = node.outputs[0].name
    key = cache_key(model, OBSERVATIONS, feeds(model))
    save_cache(calibrate(model, OBSERVATIONS, feeds(model), progress=False), cache, key)
    if change is not None:
        change(model)
    other = cache_key(model, OBSERVATIONS if change else OBSERVATIONS[1:], feeds(model))
    with pytest.raises(CalibrationError, match=r"cache\.npz' was made for another model or other.*delete it") as caught:
        load_cache(cache, other)
    assert key.model in str(caught.value)
    assert other.model in str(caught.value)


def opened(array: NDArray[Any], batch_size: int = 4) -> Feeds:
    model = ir.from_proto(networks.classifier())
    return open_feeds({"x": array}, input_specs(model), batch_size=batch_size)


def test_the_digest_of_data_depends_on_every_sample_and_not_on_their_batches() -> None:
    data = networks.normal(10, 8)
    digest = opened(data).digest()
    assert digest == opened(data, batch_size=3).digest() == opened(data, batch_size=10).digest()
    last = data.copy()
    last[-1, -1] += 1
    for other in (last, data[::-1], data[:-1], data * np.float32(100)):
        assert opened(other).digest() != digest


@pytest.mark.slow
def test_a_conversion_with_other_data_refuses_the_cache(tmp_path: Path) -> None:
    def convert(data: NDArray[Any], name: str, **options: Any) -> None:
        onnx_snn.convert(
            networks.classifier(),
            tmp_path / name,
            {"x": data},
            calibration_cache=tmp_path / "cache",
            fast=True,
            progress=False,
            **options,
        )

    data = networks.normal(16, 8)
    convert(data, "a.onnx")
    convert(data, "b.onnx", batch_size=5)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    with pytest.raises(CalibrationError, match=r"was made for another data.*delete it, or name another file"):
        convert(data * np.float32(100), "c.onnx")
    assert not (tmp_path / "c.onnx").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_one_that_cannot_be_read_is_named(content: bytes | None, model: ir.Model, tmp_path: Path) -> None:
    path, key = tmp_path / "cache.npz", cache_key(model, OBSERVATIONS, feeds(model))
    if content is None:
        np.savez(path, other=np.ones(3))
    else:
        path.write_bytes(content)
    for file in (path, tmp_path / "nowhere.npz"):
        with pytest.raises(CalibrationError, match=r"cannot read calibration cache '.*npz'.*; delete it to calibrate"):
            load_cache(file, key)


VALUES = [np.nan, -1, 2**62, 1e308, 0.5]


def spoil(arrays: dict[str, NDArray[Any]], name: str, how: str, value: float) -> None:
    """Change one array of a cache."""
    array = arrays[name]
    if how == "delete":
        del arrays[name]
    elif how == "shorten":
        arrays[name] = array.reshape(-1)[:-1]
    elif how == "empty":
        arrays[name] = np.zeros((0, *array.shape[1:]), array.dtype)
    elif how == "text":
        arrays[name] = np.array("x")
    else:
        arrays[name] = np.full(array.shape, value)


def spoil_index(arrays: dict[str, NDArray[Any]], entry: str, value: Any) -> None:
    """Change one entry of the index of a cache."""
    index = json.loads(str(arrays["index"]))
    index[entry] = value
    arrays["index"] = np.array(json.dumps(index))


SPOILT = st.one_of(
    st.tuples(
        st.just(spoil), st.sampled_from(["delete", "shorten", "empty", "text", "value"]), st.sampled_from(VALUES)
    ),
    st.tuples(
        st.just(spoil_index),
        st.sampled_from(["key", "samples", "signed", "channels", "shapes"]),
        st.sampled_from([None, -1, "x", [], {}, [1], {"a": 1}, 10**30, True]),
    ),
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoilt=SPOILT, place=st.integers(0, 1000), honest=st.booleans())
def test_a_changed_one_is_refused_or_holds_counts(spoilt: Any, place: int, honest: bool, cache: Path) -> None:
    """What loads although it was changed, because the checksum was changed too, is a histogram all the same."""
    key = cache_key(network(), OBSERVATIONS, feeds(network()))
    with np.load(cache) as file:
        arrays = dict(file)
    change, how, value = spoilt
    if change is spoil_index:
        spoil_index(arrays, how, value)
    else:
        spoil(arrays, sorted(arrays)[place % len(arrays)], how, value)
    if not honest and "checksum" in arrays:
        arrays["checksum"] = np.array(_checksum({name: array for name, array in arrays.items() if name != "checksum"}))
    path = cache.with_name("spoilt.npz")
    np.savez(path, **arrays)  # type: ignore[arg-type]  # its other parameter is a flag
    try:
        loaded = load_cache(path, key)
    except CalibrationError:
        return
    assert not honest
    assert_plausible(loaded)


def assert_plausible(calibration: Calibration) -> None:
    for histogram in calibration.signed.values():
        assert (histogram.counts() >= 0).all()
        assert np.isfinite(histogram.points()).all()
    for channels in calibration.channels.values():
        assert channels.count >= 0
        assert np.isfinite(channels.maximum()).all()


def test_one_that_cannot_be_written_is_named(model: ir.Model, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write '.*nowhere"):
        save_cache(Calibration(), tmp_path / "nowhere" / "cache.npz", cache_key(model, OBSERVATIONS, feeds(model)))

# SPDX-License-Identifier: Apache-2.0
"""Sessions with and without the library of kernels: where it is found, registered, missing or refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import networks
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from networks import normal

import onnx_snn
from onnx_snn import LibraryError, ModelError
from onnx_snn.runtime import session


@pytest.fixture(scope="module")
def spiking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted classifier."""
    path = tmp_path_factory.mktemp("runtime") / "snn.onnx"
    onnx_snn.convert(networks.classifier(), path, {"x": normal(16, 8)}, timesteps=4, progress=False, fast=True)
    return path


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation that was built without a compiler."""
    monkeypatch.setattr(session, "LIBRARY", "no_such_library.so")
    session._tell_once_of_no_library.cache_clear()
    yield
    session._tell_once_of_no_library.cache_clear()


def operators(path: Path, options: ort.SessionOptions, folder: Path, *, kernels: bool = True) -> set[str]:
    """What onnxruntime runs in place of the nodes of `path`."""
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnx_snn.session(path, session_options=options, kernels=kernels)
    return {node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node}


# --- with the library ----------------------------------------------------------------------------


def test_the_library_is_a_file_of_the_package() -> None:
    path = onnx_snn.get_library_path()
    assert path.is_file()
    assert path.parent.name == "onnx_snn"


def test_any_program_can_register_the_library(spiking: Path) -> None:
    options = ort.SessionOptions()
    options.register_custom_ops_library(str(onnx_snn.get_library_path()))
    ort.InferenceSession(str(spiking), options, providers=["CPUExecutionProvider"])


def test_kernels_run_the_nodes_unless_they_are_not_wanted(spiking: Path, tmp_path: Path) -> None:
    assert "MbeNeuron" in operators(spiking, ort.SessionOptions(), tmp_path)
    assert "MbeNeuron" in operators(spiking, onnx_snn.session_options(), tmp_path)
    assert "MbeNeuron" not in operators(spiking, onnx_snn.session_options(kernels=False), tmp_path, kernels=False)


def test_kernels_and_functions_give_the_same_bits(spiking: Path) -> None:
    feed = {"x": normal(16, 8, seed=3)}
    (with_kernels,) = onnx_snn.session(spiking).run(None, feed)
    (without,) = onnx_snn.session(spiking, kernels=False).run(None, feed)
    np.testing.assert_array_equal(with_kernels, without)


@pytest.mark.parametrize("make", [ort.SessionOptions, onnx_snn.session_options])
def test_options_serve_several_sessions(make: type[ort.SessionOptions], spiking: Path) -> None:
    options = make()
    for _ in range(3):
        onnx_snn.session(spiking, session_options=options)


def test_a_library_that_was_registered_by_hand_is_named(spiking: Path) -> None:
    options = ort.SessionOptions()
    options.register_custom_ops_library(str(onnx_snn.get_library_path()))
    onnx_snn.session(spiking, session_options=options, kernels=False)
    with pytest.raises(LibraryError, match=r"had the library already; make new ones with onnx_snn\.session_options"):
        onnx_snn.session(spiking, session_options=options)


def test_a_library_that_cannot_be_loaded_is_an_error(
    spiking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.so"
    broken.write_text("no library")
    monkeypatch.setattr(session, "find_library", lambda: broken)
    for use in (onnx_snn.session_options, lambda: onnx_snn.session(spiking)):
        with pytest.raises(LibraryError, match=r"onnxruntime [\d.]+ cannot load '.*broken\.so'"):
            use()
    onnx_snn.session(spiking, kernels=False)


# --- without it ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_library")
def test_a_missing_library_says_what_to_do() -> None:
    with pytest.raises(LibraryError, match=r"no no_such_library\.so.*install a compiler, .*or run the network without"):
        onnx_snn.get_library_path()


@pytest.mark.usefixtures("without_library")
def test_functions_run_where_there_is_no_library(
    spiking: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "onnx_snn.runtime.session")
    for _ in range(2):
        assert "MbeNeuron" not in operators(spiking, onnx_snn.session_options(), tmp_path)
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()[:31]) == ("INFO", "no kernels in this installation")


@pytest.mark.usefixtures("without_library")
def test_conversion_needs_no_library(tmp_path: Path) -> None:
    report = onnx_snn.convert(
        networks.classifier(), tmp_path / "snn.onnx", {"x": normal(16, 8)}, progress=False, fast=True
    )
    assert report.outputs[0].relative_error < 0.01


# --- options of the session ----------------------------------------------------------------------


def test_quiet_options_log_errors_only() -> None:
    assert onnx_snn.session_options(quiet=True).log_severity_level == 3
    assert onnx_snn.session_options().log_severity_level == ort.SessionOptions().log_severity_level


def test_files_that_cannot_be_opened_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        onnx_snn.session(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match="onnxruntime cannot load it"):
        onnx_snn.session(tmp_path / "text.onnx")

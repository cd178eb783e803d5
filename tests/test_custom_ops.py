# SPDX-License-Identifier: Apache-2.0
"""Networks with operators of others, whose library goes to every session."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from both_runtimes import Checked, checked_conversion
from conversions import statuses
from graphs import graph
from networks import normal

import onnx_snn
from onnx_snn import Status
from onnx_snn.cli.main import main
from onnx_snn.errors import LibraryError, ModelError
from onnx_snn.graph.custom_libraries import libraries_of, set_libraries
from onnx_snn.graph.model_reader import load_model

extensions = pytest.importorskip("onnxruntime_extensions")
LIBRARY = extensions.get_library_path()
WEIGHT = "float[8,8] w = {" + ", ".join(str((i % 9 - 4) / 9) for i in range(64)) + "}"
FEEDS = [{"x": normal(4, 8, seed=seed)} for seed in range(3)]
DATA = {"x": normal(12, 8)}


def network() -> ir.Model:
    """Both parts of x by sign, by an operator of onnxruntime-extensions, then layers that can spike."""
    body = "n, p = acme.NegPos (x) t = Tanh (p) m = MatMul (t, w) s = Softmax <axis = 1> (m) y = Add (s, n)"
    model = graph(body, inputs="float[N,8] x", outputs="float[N,8] y", initializers=WEIGHT)
    model.graph[0].domain = "ai.onnx.contrib"
    model.graph.opset_imports["ai.onnx.contrib"] = 1
    return model


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    return checked_conversion(network(), tmp_path_factory.mktemp("custom"), FEEDS, libraries=[LIBRARY], fast=False)


@pytest.mark.slow
def test_they_are_converted(found: Checked) -> None:
    kinds = statuses(found.report)
    assert {name for name, status in kinds.items() if status is Status.CONVERTED} == {"t", "m", "s"}
    assert kinds["n"] is Status.REFUSED
    assert found.error < 0.02


@pytest.mark.slow
def test_all_that_runs_them_takes_the_library(found: Checked, tmp_path: Path) -> None:
    files, options = (found.original, found.spiking), {"custom_ops": [LIBRARY], "progress": False}
    assert onnx_snn.compare(*files, FEEDS, **options).relative_error < 0.02
    assert onnx_snn.profile(found.spiking, FEEDS, **options).samples == 12
    assert onnx_snn.sensitivity(*files, FEEDS, **options).whole.relative_error < 0.02
    assert onnx_snn.survey(*files, FEEDS, **options).candidates[0].evaluation.samples == 12
    tuned = onnx_snn.tune(
        found.original, tmp_path / "t.onnx", FEEDS, target_loss=0.5, max_timesteps=4, metric="cosine", **options
    )
    assert tuned.conversion.count(Status.CONVERTED) == 3


@pytest.mark.slow
def test_the_command_line_takes_it(found: Checked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, output = str(tmp_path / "data.npz"), str(tmp_path / "s.onnx")
    np.savez(data, **DATA)
    library = ["--custom-ops", LIBRARY]
    assert main(["convert", "-q", "--fast", "-m", str(found.original), "-o", output, "-c", data, *library]) == 0
    assert main(["compare", "-q", "--json", str(found.original), output, data, *library]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 12
    assert main(["compare", "-q", str(found.original), output, data]) == 1
    assert "ai.onnx.contrib" in capsys.readouterr().err


def test_without_the_library_the_error_names_it(found: Checked, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"knows no operator ai\.onnx\.contrib\.NegPos; .*--custom-ops"):
        onnx_snn.convert(found.original, tmp_path / "s.onnx", FEEDS)


@pytest.mark.parametrize(
    ("libraries", "says"),
    [
        (["missing.so"], "'missing.so' does not exist"),
        ([__file__], "cannot load"),
        ("missing.so", "give a list of paths"),
    ],
)
def test_a_wrong_library_is_a_clear_error(libraries: list[str], says: str, found: Checked, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=says):
        onnx_snn.convert(found.original, tmp_path / "s.onnx", FEEDS, custom_ops=libraries)
    assert list(tmp_path.iterdir()) == []


def test_libraries_accompany_copies_and_no_files(found: Checked) -> None:
    model = load_model(found.original, [LIBRARY])
    assert libraries_of(model.clone()) == (LIBRARY,)
    assert libraries_of(load_model(found.original)) == ()
    set_libraries(model, [])
    assert libraries_of(model) == ()
    assert LIBRARY.encode() not in found.spiking.read_bytes()

# SPDX-License-Identifier: Apache-2.0
"""Warnings of values beyond the range of neurons: of sessions on guarded files, of compare and of profile."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from guarded_networks import X, beyond, guarded_files
from portable import assert_same_bits

import onnx_snn
from onnx_snn import ModelError, SaturationWarning
from onnx_snn.evaluation.saturation import Saturation, saturation_warning
from onnx_snn.metadata import GUARD_KEY


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return guarded_files(tmp_path_factory.mktemp("guard"))


@pytest.mark.slow
def test_a_session_warns_once(files: dict[str, Path]) -> None:
    far, names = {"x": X["x"] * np.float32(1000)}, [output.name for output in onnx.load(files["plain"]).graph.output]
    session = onnx_snn.session(files["guarded"])
    assert [output.name for output in session.get_outputs()] == names
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(session.run(None, X)) == len(names)
    with pytest.warns(SaturationWarning, match="at node 'x/code', and others at .* --headroom"):
        expected = session.run(None, far)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (again, counts) = session.run([names[0], "saturated"], far)
        tensors = {"x": ort.OrtValue.ortvalue_from_numpy(far["x"])}
        (tensor,) = session.run_with_ort_values(None, tensors)
    assert len(expected) == len(names)
    assert counts.any()
    assert_same_bits(again, expected[0], "the output")
    assert_same_bits(tensor.numpy(), expected[0], "the output")


@pytest.mark.parametrize("text", ["[]", "{", '{"output": "y", "nodes": ["a"]}', '{"output": "saturated", "nodes": []}'])
def test_metadata_that_fits_no_output_are_ignored(text: str, files: dict[str, Path], tmp_path: Path) -> None:
    model = onnx.load(files["guarded"])
    next(entry for entry in model.metadata_props if entry.key == GUARD_KEY).value = text
    onnx.save(model, tmp_path / "odd.onnx")
    session = onnx_snn.session(tmp_path / "odd.onnx")
    assert len(session.run(None, {"x": X["x"] * np.float32(1000)})) == len(model.graph.output)


@pytest.mark.parametrize("text", ["[]", "{", '{"output": "none", "nodes": [], "unguarded": {}}', '{"output": 1}'])
def test_a_record_of_the_guard_that_does_not_fit_is_refused(text: str, files: dict[str, Path]) -> None:
    model = onnx.load(files["guarded"])
    next(entry for entry in model.metadata_props if entry.key == GUARD_KEY).value = text
    with pytest.raises(ModelError, match=r"the metadata 'onnx_snn\.guard'"):
        onnx_snn.profile(model, X, progress=False)


@pytest.mark.parametrize("file", ["plain", "guarded"])
def test_compare_and_profile_tell_what_saturates(file: str, files: dict[str, Path]) -> None:
    far = {"x": X["x"] * np.float32(10)}
    for data, factor in ((X, 1), (far, 10)):
        compared = onnx_snn.compare(files["original"], files[file], data, progress=False)
        text = " ".join(compared.text().split())
        code = next(node for node in compared.saturation if node.node == "x/code")
        assert (code.saturated, code.elements) == (beyond(files["plain"], "x/code", data["x"]), data["x"].size)
        profile = onnx_snn.profile(files[file], data, progress=False).text()
        assert [t.count("warning: values at") for t in (text, profile)] == [int(factor > 1)] * 2
        assert ("--headroom" in text) == (factor > 1)


def test_the_warning_names_the_worst_node() -> None:
    nodes = [Saturation("many", 10, 1000), Saturation("most", 5, 10), Saturation("none", 0, 10)]
    assert "2 of 3 nodes" in saturation_warning(nodes)
    assert "at most: 5 of 10 elements (50.00%)" in saturation_warning(nodes)
    assert saturation_warning(nodes[2:]) == saturation_warning([]) == ""

# SPDX-License-Identifier: Apache-2.0
"""Saving leaves a whole file or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from weighted_model import WEIGHTS, names, run

from onnx_snn.errors import OutputError
from onnx_snn.graph import model_writer
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model


@pytest.mark.parametrize("target", [True, False, None])
@pytest.mark.parametrize("source", ["inline", "external"])
def test_a_saved_model_is_the_same_model(
    source: str, target: bool | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path = request.getfixturevalue(source)
    copy = tmp_path / "copy.onnx"
    save_model(load_model(path), copy, external_data=target)
    for actual, expected in zip(run(copy), run(path), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert load_model(copy).metadata_props == {"author": "me"}
    assert (tmp_path / "copy.onnx.data").exists() == bool(target)
    assert names(tmp_path) <= {"model.onnx", "model.onnx.data", "copy.onnx", "copy.onnx.data"}


def test_weights_beyond_the_limit_go_to_a_file(inline: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(model_writer, "MAX_INLINE_BYTES", WEIGHTS.nbytes)
    save_model(load_model(inline), tmp_path / "copy.onnx")
    assert (tmp_path / "copy.onnx.data").stat().st_size >= WEIGHTS.nbytes
    with pytest.raises(OutputError, match=r"bytes of weights do not fit.*external data"):
        save_model(load_model(inline), tmp_path / "other.onnx", external_data=False)
    assert not (tmp_path / "other.onnx").exists()


def test_saving_leaves_the_model_as_it_is(external: Path, tmp_path: Path) -> None:
    model = load_model(external)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    for external_data in (True, False):
        save_model(model, tmp_path / "copy.onnx", external_data=external_data)
        assert ir.to_proto(model).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("external_data", [True, False])
def test_a_failed_save_leaves_nothing_and_keeps_what_was(
    external_data: bool, inline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, data = tmp_path / "new.onnx", tmp_path / "new.onnx.data"
    output.write_text("old")
    data.write_text("old weights")
    before = names(tmp_path)

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx, "save", full_disk)
    monkeypatch.setattr(model_writer, "write_model", full_disk)
    with pytest.raises(OutputError, match=r"cannot write '.*new\.onnx'.*No space left"):
        save_model(load_model(inline), output, external_data=external_data)
    assert names(tmp_path) == before
    assert (output.read_text(), data.read_text()) == ("old", "old weights")


def test_saving_does_not_replace_the_weights_that_are_being_read(external: Path) -> None:
    model = load_model(external)
    with pytest.raises(OutputError, match=r"holds weights of the model that is being read"):
        save_model(model, external, external_data=True)
    np.testing.assert_array_equal(run(external)[0], run(external)[0])

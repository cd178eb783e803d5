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
from onnx_snn.graph.model_writer import save_model, weight_files


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
    assert len(weight_files(copy)) == int(bool(target))
    assert names(tmp_path) - {file.name for file in weight_files(copy)} <= {
        "model.onnx",
        "model.onnx.data",
        "copy.onnx",
    }


def test_weights_beyond_the_limit_go_to_a_file(inline: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(model_writer, "MAX_INLINE_BYTES", WEIGHTS.nbytes)
    save_model(load_model(inline), tmp_path / "copy.onnx")
    assert weight_files(tmp_path / "copy.onnx")[0].stat().st_size >= WEIGHTS.nbytes
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


def test_saving_does_not_remove_the_weights_that_are_being_read(external: Path) -> None:
    expected = run(external)
    model = load_model(external)
    save_model(model, external, external_data=True)
    again = load_model(external)
    save_model(again, external, external_data=True)
    for one in (model, again):
        save_model(one, external.with_name("copy.onnx"))
        np.testing.assert_array_equal(run(external.with_name("copy.onnx"))[0], expected[0])
    np.testing.assert_array_equal(run(external)[0], expected[0])


def scaled(model: ir.Model) -> ir.Model:
    """A copy of `model` with other weights."""
    copy = model.clone()
    value = copy.graph.initializers["w"]
    assert value.const_value is not None
    value.const_value = ir.tensor(2 * value.const_value.numpy(), name="w")
    return copy


def test_weights_of_a_former_graph_are_removed(inline: Path, tmp_path: Path) -> None:
    model, path = load_model(inline), tmp_path / "copy.onnx"
    for stranger in ("copy.onnx.data", "copy.onnx.0123.data", "other.onnx.0123456789abcdef.data"):
        (tmp_path / stranger).touch()
    before = names(tmp_path)
    save_model(model, path, external_data=True)
    first = weight_files(path)
    save_model(scaled(model), path, external_data=True)
    assert len(weight_files(path)) == 1
    assert weight_files(path) != first
    save_model(model, path, external_data=True)
    assert weight_files(path) == first
    save_model(model, path, external_data=False)
    assert names(tmp_path) == before | {"copy.onnx"}


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_save_that_dies_at_any_step_leaves_the_old_graph_or_the_new_one(
    step: int, inline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the weights are in place, between weights and graph, and after the graph before stale weights go."""
    model, path = load_model(inline), tmp_path / "copy.onnx"
    save_model(model, path, external_data=True)
    old = run(path)[0]
    new = scaled(model)
    save_model(new, tmp_path / "new.onnx")
    rename, steps = Path.replace, iter(range(3))

    def dying(self: Path, target: Path) -> Path:
        if next(steps) == step:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", dying)
    if step == 2:

        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_model(new, path, external_data=True)
    monkeypatch.undo()
    np.testing.assert_array_equal(run(path)[0], run(tmp_path / "new.onnx")[0] if step == 2 else old)
    save_model(new, path, external_data=True)
    np.testing.assert_array_equal(run(path)[0], run(tmp_path / "new.onnx")[0])
    assert len(weight_files(path)) == 1


@pytest.mark.parametrize("name", ["weights", "data"])
def test_any_name_can_have_external_data(name: str, inline: Path, tmp_path: Path) -> None:
    save_model(load_model(inline), tmp_path / name, external_data=True)
    np.testing.assert_array_equal(run(tmp_path / name)[0], run(inline)[0])

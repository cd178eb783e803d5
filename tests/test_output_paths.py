# SPDX-License-Identifier: Apache-2.0
"""No output overwrites an input or another output, whatever names lead to it, and whatever command writes it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from networks import normal

import onnx_snn
from onnx_snn import OutputError
from onnx_snn.cli.main import main
from onnx_snn.graph.source_files import source_files
from onnx_snn.output_paths import check_output_folder, check_outputs

Alias = Callable[[Path, Path], Path]


def the_path_itself(path: Path, _: Path) -> Path:
    return path


def a_detour(path: Path, folder: Path) -> Path:
    (folder / "sub").mkdir()
    return folder / "sub" / ".." / path.name


def a_symbolic_link(path: Path, folder: Path) -> Path:
    (folder / "link").symlink_to(path)
    return folder / "link"


def a_hard_link(path: Path, folder: Path) -> Path:
    (folder / "link").hardlink_to(path)
    return folder / "link"


def a_link_to_the_folder(path: Path, folder: Path) -> Path:
    (folder / "link").symlink_to(path.parent, target_is_directory=True)
    return folder / "link" / path.name


ALIASES = [the_path_itself, a_detour, a_symbolic_link, a_hard_link, a_link_to_the_folder]


@pytest.mark.parametrize("alias", ALIASES)
def test_an_output_that_is_an_input_is_refused(alias: Alias, tmp_path: Path) -> None:
    read = tmp_path / "read"
    read.touch()
    with pytest.raises(OutputError, match=r"report '.*' is the input '.*read' \(data\); choose another name"):
        check_outputs({"report": alias(read, tmp_path)}, {"data": ["elsewhere", read]})


@pytest.mark.parametrize("alias", [alias for alias in ALIASES if alias is not a_hard_link])
def test_two_outputs_that_would_be_one_file_are_refused(alias: Alias, tmp_path: Path) -> None:
    new = tmp_path / "new"
    with pytest.raises(OutputError, match=r"report '.*' is the output as well"):
        check_outputs({"output": new, "report": alias(new, tmp_path)})


def test_a_relative_path_is_compared_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "read").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="is the input"):
        check_outputs({"output": "read"}, {"data": tmp_path / "read"})


def test_a_file_in_a_folder_of_inputs_is_refused_where_it_exists_and_is_no_network(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("image.png", "snn.onnx"):
        (data / name).touch()
    with pytest.raises(OutputError, match=r"image\.png' is one of the input"):
        check_outputs({"output": data / "image.png"}, {"data": data})
    check_outputs({"output": data / "snn.onnx", "report": data / "new.json"}, {"data": data})


def test_other_files_and_values_that_are_no_paths_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "read").touch()
    (tmp_path / "old").touch()
    data = {"x": np.zeros(3)}
    check_outputs({"output": tmp_path / "old", "report": None}, {"data": data, "the model": [tmp_path / "read", data]})


def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    for output, says in (
        (tmp_path, "is a folder"),
        (tmp_path / "nowhere" / "new", "folder '.*nowhere' does not exist"),
        (tmp_path / "pipe", "not a regular file"),
        (Path("/dev/null"), "not a regular file"),
    ):
        with pytest.raises(OutputError, match=says):
            check_outputs({"report": output})
    existing = tmp_path / "existing"
    existing.touch()
    # Permissions do not bind a superuser, so what the system answers is played.
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != existing)
    with pytest.raises(OutputError, match=r"existing' exists and is read-only"):
        check_outputs({"report": existing})
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    with pytest.raises(OutputError, match="is not writable"):
        check_outputs({"report": tmp_path / "new"})


def test_a_folder_of_outputs_that_is_an_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"pictures '.*' is the input"):
        check_output_folder("folder of pictures", tmp_path, {"data": [tmp_path / "x", tmp_path / "y" / ".."]})
    check_output_folder("folder of pictures", tmp_path / "new", {"data": [tmp_path]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with external data, inputs for it, and a configuration."""
    onnx.save(
        networks.classifier(), tmp_path / "model.onnx", save_as_external_data=True, location="weights", size_threshold=0
    )
    np.savez(tmp_path / "data.npz", x=normal(8, 8), labels=np.arange(8) % 3)
    (tmp_path / "config.json").write_text(json.dumps({"timesteps": 4}))
    return tmp_path


def test_external_data_is_a_file_of_the_model(folder: Path) -> None:
    assert source_files(folder / "model.onnx") == [folder / "model.onnx", folder / "weights"]
    assert {*source_files(folder)} >= {folder / "model.onnx", folder / "weights", folder / "config.json"}
    assert source_files(ir.load(folder / "model.onnx")) == [folder / "weights"]
    assert source_files(networks.classifier()) == []
    assert source_files(folder / "config.json") == [folder / "config.json"]


CONVERT = ["convert", "-m", "model.onnx", "-c", "data.npz"]
CONVERT_TO = [*CONVERT, "-o", "snn.onnx"]
TUNE = ["tune", "-m", "model.onnx", "-c", "data.npz", "-o", "snn.onnx", "--target-loss", "0.1"]
COMMANDS = [
    *([*CONVERT, "-o", name] for name in ("model.onnx", "weights", "data.npz")),
    *([*CONVERT, "--config", "config.json", "-o", name] for name in ("config.json", "./config.json")),
    *([*CONVERT_TO, "--report", name] for name in ("model.onnx", "weights", "data.npz", "snn.onnx", "/dev/null")),
    *([*CONVERT_TO, "--calibration-cache", name] for name in ("data.npz", "snn.onnx", "weights")),
    [*CONVERT_TO, "--report", "r", "--calibration-cache", "r"],
    [*CONVERT, "--dry-run", "--report", "data.npz"],
    *([*TUNE, "--settings", name] for name in ("model.onnx", "data.npz", "snn.onnx", "weights")),
    *([*TUNE, "--front", name] for name in ("data.npz", "snn.json")),
    *([*TUNE, "--report", name] for name in ("snn.onnx", "snn.json")),
    [*TUNE, "--config", "config.json", "--settings", "config.json"],
    *(["profile", "model.onnx", "data.npz", "--json", name] for name in ("model.onnx", "data.npz", "weights")),
    *(["report", "model.onnx", "model.onnx", "data.npz", "--html", name] for name in ("data.npz", "weights")),
    ["report", "model.onnx", "model.onnx", ".", "--png", "."],
    ["export", "-m", ".", "-o", "."],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_refuse_to_overwrite_what_they_read_or_write(
    command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.chdir(folder)
    assert main([*command, *(["-q"] if command[0] != "export" else [])]) == 1
    assert "choose another name" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("output", ["data.npz", "weights", "model.onnx"])
def test_the_functions_refuse_it_too(output: str, folder: Path) -> None:
    model, data = folder / "model.onnx", folder / "data.npz"
    with pytest.raises(OutputError, match="is the input"):
        onnx_snn.convert(model, folder / output, data, progress=False)
    with pytest.raises(OutputError, match="is the input"):
        onnx_snn.convert(model, folder / "snn.onnx", data, calibration_cache=folder / output, progress=False)
    with pytest.raises(OutputError, match="is the input"):
        onnx_snn.tune(model, folder / output, data, target_loss=0.1, progress=False)
    with pytest.raises(OutputError, match="is the output as well"):
        onnx_snn.convert(model, folder / "new", data, calibration_cache=folder / "new", progress=False)

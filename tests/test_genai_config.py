# SPDX-License-Identifier: Apache-2.0
"""The library of kernels in folders of onnxruntime-genai."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onnx_snn import DeployError
from onnx_snn.deployment.genai_config import GENAI_CONFIG, fit_genai_config, with_library

LIBRARY = "libonnx_snn_ops.so"


def test_every_session_of_a_configuration_registers_the_library() -> None:
    """Models of their own options, stages of a pipeline; nothing else changes."""
    options: dict[str, Any] = {"log_id": "a", "provider_options": []}
    config = {
        "model": {
            "type": "phi3v",
            "decoder": {"filename": "model.onnx", "pipeline": [{"first": {"session_options": {}}}]},
            "vision": {"session_options": options},
        },
        "search": {"max_length": 8},
    }
    made = with_library(config, LIBRARY)
    ours = {"custom_ops_library": LIBRARY}
    assert made["model"]["vision"]["session_options"] == options | ours
    assert made["model"]["decoder"]["session_options"] == ours
    assert made["model"]["decoder"]["pipeline"] == [{"first": {"session_options": ours}}]
    assert (made["search"], config["model"]["vision"]) == ({"max_length": 8}, {"session_options": {**options}})
    assert with_library(made, LIBRARY) == made


@pytest.mark.parametrize("former", [r"C:\ops\onnx_snn_ops.dll", "/opt/libonnx_snn_ops.so", "onnx_snn_ops.dll"])
def test_a_former_place_of_the_library_is_replaced(former: str) -> None:
    config = {"model": {"decoder": {"session_options": {"custom_ops_library": former}}}}
    assert with_library(config, LIBRARY)["model"]["decoder"]["session_options"] == {"custom_ops_library": LIBRARY}


def test_a_library_of_others_is_not_replaced(caplog: pytest.LogCaptureFixture) -> None:
    config = {"model": {"decoder": {"session_options": {"custom_ops_library": "libothers.so"}}}}
    assert with_library(config, LIBRARY) == config
    assert "names the library 'libothers.so', and takes no second one" in caplog.text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, and a library elsewhere."""
    library = tmp_path / LIBRARY
    library.write_bytes(b"kernels")
    monkeypatch.setattr("onnx_snn.deployment.genai_config.find_library", lambda: library)
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def test_a_folder_gets_the_library_and_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / GENAI_CONFIG).write_text('{"model": {"decoder": {}}, "search": {"past_present_share_buffer": true}}')
    fit_genai_config(folder)
    assert (folder / LIBRARY).read_bytes() == b"kernels"
    search = {"past_present_share_buffer": False}
    written = json.loads((folder / GENAI_CONFIG).read_text())
    assert written == {"model": {"decoder": {"session_options": {"custom_ops_library": LIBRARY}}}, "search": search}
    monkeypatch.setattr("onnx_snn.deployment.genai_config.find_library", lambda: None)
    (folder / GENAI_CONFIG).write_text('{"model": {"decoder": {}}}')
    fit_genai_config(folder)
    assert json.loads((folder / GENAI_CONFIG).read_text()) == {"model": {"decoder": {}}, "search": search}


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"model": []}', '{"model": {"decoder": 3}}', '{"model": {"decoder": {"session_options": []}}}'],
)
def test_a_damaged_configuration_is_refused(text: str, folder: Path) -> None:
    (folder / GENAI_CONFIG).write_text(text)
    with pytest.raises(DeployError, match=GENAI_CONFIG):
        fit_genai_config(folder)
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [(GENAI_CONFIG, text)]


def test_other_folders_stay_as_they_are(folder: Path) -> None:
    fit_genai_config(folder)
    assert list(folder.iterdir()) == []

# SPDX-License-Identifier: Apache-2.0
"""The library of kernels in folders of onnxruntime-genai."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onnx_snn import DeployError
from onnx_snn.deployment.genai_config import GENAI_CONFIG, fit_config, with_library

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


def test_a_library_of_others_is_not_replaced() -> None:
    config = {"model": {"decoder": {"session_options": {"custom_ops_library": "libothers.so"}}}}
    with pytest.raises(DeployError, match=r"'custom_ops_library' is 'libothers.so', and .* one library a session"):
        with_library(config, LIBRARY)


@pytest.mark.parametrize("config", [{}, {"model": []}, {"model": {"encoder": {}}}, {"model": {"decoder": "x"}}])
def test_a_configuration_without_a_decoder_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(DeployError, match=r"no 'model.decoder'"):
        with_library(config, LIBRARY)


def test_a_folder_gets_the_library_and_its_name(tmp_path: Path) -> None:
    library = tmp_path / LIBRARY
    library.write_bytes(b"kernels")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / GENAI_CONFIG).write_text('{"model": {"decoder": {}}, "search": {"past_present_share_buffer": true}}')
    fit_config(folder, library)
    assert (folder / LIBRARY).read_bytes() == b"kernels"
    written = json.loads((folder / GENAI_CONFIG).read_text())
    assert written == {
        "model": {"decoder": {"session_options": {"custom_ops_library": LIBRARY}}},
        "search": {"past_present_share_buffer": False},
    }
    (folder / GENAI_CONFIG).write_text('{"model": {"decoder": {}}}')
    fit_config(folder, None)
    search = {"past_present_share_buffer": False}
    assert json.loads((folder / GENAI_CONFIG).read_text()) == {"model": {"decoder": {}}, "search": search}


@pytest.mark.parametrize("text", [None, "{", "[]", '{"model": {}}'])
def test_a_folder_without_a_configuration_stays_as_it_is(text: str | None, tmp_path: Path) -> None:
    library = tmp_path / LIBRARY
    library.write_bytes(b"kernels")
    folder = tmp_path / "folder"
    folder.mkdir()
    if text is not None:
        (folder / GENAI_CONFIG).write_text(text)
    with pytest.raises(DeployError, match=GENAI_CONFIG):
        fit_config(folder, library)
    assert [path.name for path in folder.iterdir()] == [GENAI_CONFIG] * (text is not None)

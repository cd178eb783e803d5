# SPDX-License-Identifier: Apache-2.0
"""Models and what lies beside them in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from weighted_model import names

from onnx_snn.errors import OutputError
from onnx_snn.graph.model_folder import copy_sidecars, model_files


@pytest.mark.usefixtures("inline")
def test_models_and_sidecars_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "decoder_model.onnx").touch()
    (tmp_path / "onnx").mkdir()
    sidecars = {"config.json", "tokenizer.json", "vocab.txt", "spiece.model"}
    for name in [*sidecars, "model.onnx_data", "model.onnx.data", "weights.data"]:
        (tmp_path / name).write_text(name)
    assert [path.name for path in model_files(tmp_path)] == ["decoder_model.onnx", "model.onnx"]
    destination = tmp_path / "out"
    destination.mkdir()
    copied = copy_sidecars(tmp_path, destination)
    assert names(destination) == {path.name for path in copied} == sidecars
    assert (destination / "config.json").read_text() == "config.json"
    with pytest.raises(OutputError, match="nowhere"):
        copy_sidecars(tmp_path, tmp_path / "nowhere")

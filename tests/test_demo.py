# SPDX-License-Identifier: Apache-2.0
"""The demonstration on a folder of models."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import onnx
import pytest
from networks import normal

from onnx_snn.cli.main import main


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two model folders and one without test data."""
    for name in ("first", "second", "unfinished"):
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        onnx.save(networks.classifier(), folder / "model.onnx")
        np.savez(folder / "calibration.npz", x=normal(16, 8))
        if name != "unfinished":
            np.savez(folder / "test.npz", x=normal(24, 8, seed=2), labels=np.arange(24) % 5)
    return tmp_path / "models"


@pytest.mark.slow
def test_every_model_is_converted_and_compared(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(models.rglob("*"))
    assert main(["demo", "--models", str(models), "-T", "8"]) == 0
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if line.startswith("==")] == ["== first", "== second"]
    assert text.count("function gelu  1      1          0     0") == 2
    assert text.count("accuracy, spiking") == 2
    assert text.count("scores, 24 samples") == 2
    assert sorted(models.rglob("*")) == before


def test_a_folder_without_models_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--models", str(tmp_path)]) == 1
    assert "holds no model folder with model.onnx and test.npz" in capsys.readouterr().err


@pytest.mark.parametrize("timesteps", ["0", "17"])
def test_time_steps_out_of_range_are_an_error(timesteps: str, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--models", str(models), "-T", timesteps]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"onnx-snn: error: timesteps is {timesteps}; expected a whole number from 1 to 16"

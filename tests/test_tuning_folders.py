# SPDX-License-Identifier: Apache-2.0
"""Tuning of a folder: every model on its own data, and its conversion again by the configurations of all models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from networks import normal, spiking_nodes
from test_decoder_feeds import SPLIT, source, write

import onnx_snn
from onnx_snn import CalibrationError, ConfigError, ConvertConfig, OutputError
from onnx_snn.allocation import candidates
from onnx_snn.cli.main import main

CLOSED = ConvertConfig(body="closed")  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def few_candidates() -> Iterator[None]:
    """A quarter of the candidates, for fits that take seconds in place of a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "SHARES_OF_TIMESTEPS", (1.0, 0.25))
        patch.setattr(candidates, "FUNCTION_BASES", (2, 4, 8))
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two models and what lies beside them; their data are in the folder `data`."""
    folder, data = tmp_path / "exported", tmp_path / "data"
    folder.mkdir()
    data.mkdir()
    onnx.save(networks.classifier(), folder / "model.onnx")
    onnx.save(ir.to_proto(graph("y = Gelu (x)")), folder / "encoder_model.onnx")
    (folder / "config.json").write_text("{}")
    np.savez(data / "model.npz", x=normal(32, 8), labels=np.arange(32) % 5)
    np.savez(data / "encoder_model.npz", x=normal(16, 4, 8))
    return folder


@pytest.mark.slow
def test_every_model_is_tuned_and_convert_repeats_it(folder: Path, tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "spiking"
    reports = onnx_snn.tune_folder(folder, target, data, max_spikes=2.0, config=CLOSED, progress=False)
    assert {name: report.metric for name, report in reports.items()} == {
        "encoder_model.onnx": "cosine",
        "model.onnx": "accuracy",
    }
    assert {path.name for path in target.iterdir()} == {*reports, "config.json", "snn_config.json", "README.md"}
    losses = (f"{report.chosen.loss:+.3%} {report.metric} ({name})" for name, report in sorted(reports.items()))
    assert f"Loss on the data that tuning was given: {', '.join(losses)}." in (target / "README.md").read_text()
    assert reports["model.onnx"].conversion.output == str(target / "model.onnx")
    assert all(spiking_nodes(target / name) for name in reports)
    configs = {name: report.config for name, report in reports.items()}
    assert configs["model.onnx"].nodes != configs["encoder_model.onnx"].nodes
    onnx_snn.convert(folder, tmp_path / "again", data, config=configs, progress=False)
    for path in {*target.iterdir()} - {target / "README.md"}:  # no tuning measured the loss of this one
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_the_command_tunes_a_folder_and_converts_it_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["-m", str(folder), "-c", str(tmp_path / "data")]
    options = ["--target-loss", "0.1%", "--max-timesteps", "4", "--body", "closed"]
    assert main(["tune", *files, "-o", str(tmp_path / "snn"), *options, "--report", str(tmp_path / "report.json")]) == 0
    shown = capsys.readouterr()
    assert "== encoder_model.onnx\n" in shown.out
    assert "onnx-snn: warning: model.onnx: the target is not certified" in shown.err
    assert json.loads((tmp_path / "report.json").read_text())["model.onnx"]["certified"] is False
    settings = ["--config", str(tmp_path / "snn.json"), "-q"]
    assert main(["convert", *files, "-o", str(tmp_path / "again"), *settings]) == 0
    for name in ("model.onnx", "encoder_model.onnx"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "snn" / name).read_bytes()


@pytest.mark.slow
def test_decoders_are_tuned_on_what_they_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "network", SPLIT)
    arguments = folder, tmp_path / "spiking", source()
    reports = onnx_snn.tune_folder(*arguments, target_loss=0.2, config=CLOSED, progress=False)
    assert {name: report.metric for name, report in reports.items()} == {
        "encoder_model.onnx": "cosine",
        "decoder_model.onnx": "agreement",
        "decoder_with_past_model.onnx": "agreement",
    }
    assert all(spiking_nodes(tmp_path / "spiking" / name) for name in SPLIT)


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, target = tmp_path / "data", tmp_path / "spiking"
    with pytest.raises(ConfigError, match="is a folder; tune it with tune_folder"):
        onnx_snn.tune(folder, target, data, max_spikes=2.0)
    with pytest.raises(CalibrationError, match=r"data is missing for \['encoder_model.onnx'\]"):
        onnx_snn.tune_folder(folder, target, {"model.onnx": data / "model.npz"}, max_spikes=2.0)
    with pytest.raises(OutputError, match="is the source folder"):
        onnx_snn.tune_folder(folder, folder, data, max_spikes=2.0)
    with pytest.raises(ConfigError, match=r"has options for \['other.onnx'\], but .* holds"):
        onnx_snn.convert(folder, target, data, config={"other.onnx": CLOSED})
    with pytest.raises(ConfigError, match=r"for the files \['model.onnx'\] of a folder; name the folder"):
        onnx_snn.convert(folder / "model.onnx", target, data / "model.npz", config={"model.onnx": CLOSED})
    strict = ConvertConfig(body="closed", strict=True)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the target is not certified"):
        onnx_snn.tune_folder(folder, target, data, target_loss=1e-5, max_timesteps=2, config=strict, progress=False)
    command = ["tune", "-m", str(folder), "-o", str(target), "-c", str(data), "--max-spikes", "2"]
    assert main([*command, "--front", str(tmp_path / "front.json")]) == 1
    assert "a Pareto front belongs to one model; leave --front out" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "exported"]

# SPDX-License-Identifier: Apache-2.0
"""Conversion of a folder with several models and what lies beside them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from conversions import X
from graphs import graph
from networks import normal, spiking_nodes

import onnx_snn
from onnx_snn import CalibrationError, ConfigError, OutputError, Status

CARD = "---\nlicense: mit\nbase_model: other\ntags: [a]\npipeline_tag: image-classification\n---\n# The original\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as Optimum writes it."""
    folder = tmp_path / "exported"
    folder.mkdir()
    onnx.save(networks.classifier(), folder / "model.onnx")
    (folder / "config.json").write_text('{"architectures": ["MineForImageClassification"]}')
    for name in ("calibration.npz", "train.py"):
        (folder / name).touch()
    (folder / "README.md").write_text(CARD)
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    return folder


def test_a_folder_becomes_a_folder(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "spiking"
    report = onnx_snn.convert(folder, target, {"x": normal(8, 8)}, timesteps=4, body="closed", fast=True)
    names = {path.name for path in target.iterdir()}
    assert names == {"model.onnx", "config.json", "tokenizer.json", "snn_config.json", "README.md"}
    assert (target / "tokenizer.json").read_text() == '{"version": "1.0"}'
    assert onnx_snn.ConvertConfig.from_json(target / "snn_config.json") == report.config
    assert (report.source, report.output) == (str(folder), str(target))
    assert spiking_nodes(target / "model.onnx")
    check_card((target / "README.md").read_text(), report, folder)


def check_card(card: str, report: onnx_snn.ConversionReport, folder: Path) -> None:
    """The model card has the figures of the report, and of the original's card what holds for both."""
    _, matter, text = card.split("---\n", 2)
    assert matter.splitlines()[:4] == [
        'base_model: "exported"',
        "library_name: onnx",
        "license: mit",
        "pipeline_tag: image-classification",
    ]
    assert hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest() in text
    [output], gain = report.outputs, report.gain
    assert gain is not None
    assert f"| `scores` | {output.relative_error:.2e} | {output.maximum_error:.2e} | {output.agreement:.2%} |" in text
    assert "| function gelu | 1 | 0 | 0 | 0 |\n| weight matmul | 2 | 0 | 0 | 0 |" in text
    assert f"{gain.spikes_per_element:.2f} spikes per element" in text
    assert f"| {gain.energy:.0%} |\n" in text
    assert f"| {gain.strictest_energy:.0%} |\n" in text
    assert 'ORTModelForImageClassification.from_pretrained(".", session_options=' in text
    assert "The original" not in text


def test_a_folder_for_transformersjs_has_its_models_in_a_subfolder(folder: Path, tmp_path: Path) -> None:
    """A former graph's weights there are removed as beside the configuration, and other files stay."""
    target, stale = tmp_path / "spiking", "model.onnx.0123456789abcdef.data"
    (target / "onnx").mkdir(parents=True)
    for name in (stale, "other.onnx"):
        (target / "onnx" / name).touch()
    onnx.save(ir.to_proto(graph("y = Gelu (x)")), folder / "model.onnx")
    onnx_snn.convert(folder, target, X, layout="transformersjs", timesteps=4, body="closed", fast=True)
    assert {path.relative_to(target).as_posix() for path in target.rglob("*.*")} == {
        *("config.json", "tokenizer.json", "snn_config.json", "README.md", "onnx/model.onnx", "onnx/other.onnx"),
    }
    assert spiking_nodes(target / "onnx" / "model.onnx")
    card = (target / "README.md").read_text()
    assert 'onnx_snn.session("onnx/model.onnx")' in card
    assert 'from_pretrained(".", subfolder="onnx", session' in card
    assert "@huggingface/transformers" in card


def test_layouts_are_those_of_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"layout is 'flat'; expected one of \['optimum', 'transformersjs'\]"):
        onnx_snn.convert(folder, tmp_path / "spiking", X, layout="flat")
    with pytest.raises(ConfigError, match="layout is 'transformersjs', but the model is a file"):
        onnx_snn.convert(folder / "model.onnx", tmp_path / "snn.onnx", X, layout="transformersjs")


@pytest.mark.slow
def test_every_model_of_a_folder_takes_its_own_data(folder: Path, tmp_path: Path) -> None:
    onnx.save(ir.to_proto(graph("y = Gelu (x)")), folder / "encoder_model.onnx")
    data = {"model.onnx": {"x": normal(8, 8)}, "encoder_model.onnx": X}
    report = onnx_snn.convert(folder, tmp_path / "spiking", data, body="closed", fast=True)
    names = ["encoder_model:y", "model:first", "model:gelu", "model:second"]
    assert [node.name for node in report.nodes] == names
    assert [output.name for output in report.outputs] == ["encoder_model:y", "model:scores"]
    assert report.calibration_samples == 16


@pytest.mark.slow
def test_the_data_of_a_folder_may_be_a_folder(folder: Path, tmp_path: Path) -> None:
    onnx.save(ir.to_proto(graph("y = Gelu (x)")), folder / "encoder_model.onnx")
    data = tmp_path / "data"
    (data / "encoder_model").mkdir(parents=True)
    np.savez(data / "model.npz", x=normal(8, 8))
    for number in range(3):
        np.savez(data / "encoder_model" / f"{number}.npz", x=normal(2 + number, 4, 8))
    report = onnx_snn.convert(folder, tmp_path / "spiking", data, body="closed", fast=True)
    assert report.count(Status.CONVERTED) == len(report.nodes) == 4
    assert report.calibration_samples == 8 + 2 + 3 + 4


def test_several_models_of_a_folder_share_neither_data_nor_cache(folder: Path, tmp_path: Path) -> None:
    onnx.save(ir.to_proto(graph("y = Gelu (x)")), folder / "encoder_model.onnx")
    with pytest.raises(CalibrationError, match=r"data is missing for \['model.onnx'\]: give a folder with NAME.npz"):
        onnx_snn.convert(folder, tmp_path / "spiking", tmp_path / "data.npz", fast=True)
    with pytest.raises(ConfigError, match="a calibration cache belongs to one"):
        onnx_snn.convert(folder, tmp_path / "spiking", {}, calibration_cache=tmp_path / "seen.npz", fast=True)
    with pytest.raises(CalibrationError, match=r"data is missing for \['model.onnx'\]"):
        onnx_snn.convert(folder, tmp_path / "spiking", {"encoder_model.onnx": X}, body="closed", fast=True)
    with pytest.raises(CalibrationError, match=r"given for \['decoder.onnx'\], but .* holds .*'model.onnx'"):
        onnx_snn.convert(folder, tmp_path / "spiking", {"decoder.onnx": X}, body="closed", fast=True)
    with pytest.raises(CalibrationError, match=r"missing for \['encoder_model.onnx', 'model.onnx'\]"):
        onnx_snn.convert(folder, tmp_path / "spiking", body="closed", fast=True)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_dry_run_of_a_folder_counts_its_nodes(folder: Path, tmp_path: Path) -> None:
    assert onnx_snn.convert(folder, dry_run=True).count(Status.CONVERTED) == 3
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_is_not_written_over_itself_or_a_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    for output, reason in {
        "exported": "is the source folder",
        "link": "is the source folder",
        "file": "is a file",
    }.items():
        with pytest.raises(OutputError, match=reason):
            onnx_snn.convert(folder, tmp_path / output, {"x": normal(8, 8)}, fast=True)
    with pytest.raises(OutputError, match="cannot be made"):
        onnx_snn.convert(folder, tmp_path / "missing" / "spiking", {"x": normal(8, 8)}, fast=True)
    with pytest.raises(ConfigError, match="output is missing; name the folder"):
        onnx_snn.convert(folder, None, {"x": normal(8, 8)}, fast=True)
    assert sorted(tmp_path.rglob("*")) == before

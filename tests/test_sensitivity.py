# SPDX-License-Identifier: Apache-2.0
"""Sensitivity: a spoiled node is found, figures are those of the networks that they describe."""

from __future__ import annotations

import json
from pathlib import Path

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from networks import FULL_BASES, normal, relative_error, run, tokens
from spoiling import spoiled

import onnx_snn

pytestmark = pytest.mark.slow

LABELS = np.arange(8 * 6).reshape(8, 6) % networks.VOCABULARY


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The tiny Transformer, and its conversion with range to spare for nothing."""
    folder = tmp_path_factory.mktemp("sensitivity")
    onnx.save(networks.transformer(), folder / "model.onnx")
    options = {"headroom": 1.0, **FULL_BASES, "body": "closed", "progress": False}
    onnx_snn.convert(folder / "model.onnx", folder / "spiking.onnx", tokens(), **options)
    return folder / "model.onnx", folder / "spiking.onnx"


def names(file: Path) -> list[str]:
    return [node.name for node in networks.spiking_nodes(file)]


def test_a_spoiled_node_is_the_worst(files: tuple[Path, Path], tmp_path: Path) -> None:
    original, spiking = files
    for name in set(names(spiking)) - {"softmax"}:  # whose neurons see mantissas and have no calibrated range
        found = onnx_snn.sensitivity(original, spoiled(spiking, name, tmp_path / "spoiled.onnx"), tokens())
        assert found.nodes[0].name == name
        assert found.nodes[0].left_out.relative_error < found.whole.relative_error / 2


def test_figures_are_those_of_the_networks(files: tuple[Path, Path]) -> None:
    original, spiking = files
    found = onnx_snn.sensitivity(original, spiking, tokens(), labels=LABELS, batch_size=3)
    assert sorted(node.name for node in found.nodes) == sorted(names(spiking))
    whole = relative_error(run(original, tokens())["logits"], run(spiking, tokens())["logits"])
    assert found.whole.relative_error == pytest.approx(whole, rel=1e-2)
    assert found.whole.metric == "perplexity"
    errors = [node.alone.relative_error for node in found.nodes]
    assert errors == sorted(errors, reverse=True)
    assert all(node.alone.relative_error > 0.0 for node in found.nodes)
    assert all(node.sqnr_db > 30.0 and node.maximum_error > 0.0 for node in found.nodes)


def test_only_one_node_converted_is_that_node_alone(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The same network, made by a conversion that includes nothing else."""
    original, spiking = files
    path = tmp_path / "gelu.onnx"
    onnx_snn.convert(original, path, tokens(), include="gelu", headroom=1.0, body="closed", **FULL_BASES)
    expected = relative_error(run(original, tokens())["logits"], run(path, tokens())["logits"])
    (gelu,) = (node for node in onnx_snn.sensitivity(original, spiking, tokens()).nodes if node.name == "gelu")
    assert gelu.alone.relative_error == pytest.approx(expected, rel=1e-3)


def test_runs_that_start_behind_a_cut_give_the_same(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    cut = onnx_snn.sensitivity(*files, tokens(), labels=LABELS)
    monkeypatch.setattr("onnx_snn.evaluation.sensitivity.CUTS", 0)
    for node, other in zip(cut.nodes, onnx_snn.sensitivity(*files, tokens(), labels=LABELS).nodes, strict=True):
        assert node.name == other.name
        for field in ("alone", "left_out"):
            expected = getattr(other, field).relative_error
            assert getattr(node, field).relative_error == pytest.approx(expected, rel=1e-3)


def test_a_metric_of_your_own(files: tuple[Path, Path]) -> None:
    def first(output: np.ndarray, _: np.ndarray | None) -> np.ndarray:
        return output[:, 0, 0]

    found = onnx_snn.sensitivity(*files, tokens(), metric=first, samples=4, batch_size=2)
    assert found.whole.metric == "first"
    assert found.whole.original == pytest.approx(run(files[0], tokens(8))["logits"][:4, 0, 0].mean())


def test_it_is_text_and_json(files: tuple[Path, Path]) -> None:
    found = onnx_snn.sensitivity(*files, tokens(), metric="cosine")
    text = found.text(most=2)
    assert found.nodes[1].name in text
    assert "cosine" in text
    assert len(text.splitlines()) < len(found.text().splitlines())
    values = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert values["nodes"][0]["alone"]["relative_error"] == found.nodes[0].alone.relative_error


def test_what_lies_within_a_fused_operator_has_a_sensitivity_too(tmp_path: Path) -> None:
    body = "y = com.microsoft.FastGelu(x)"
    original = graph(body)
    onnx.save(ir.to_proto(original), tmp_path / "model.onnx")
    x = {"x": normal(8, 4, 8)}
    onnx_snn.convert(tmp_path / "model.onnx", tmp_path / "spiking.onnx", x, body="closed", timesteps=4, fast=True)
    found = onnx_snn.sensitivity(tmp_path / "model.onnx", tmp_path / "spiking.onnx", x)
    assert len(found.nodes) == len(networks.spiking_nodes(tmp_path / "spiking.onnx")) > 0
    assert found.nodes[0].alone.relative_error == pytest.approx(found.whole.relative_error, rel=1e-3)


def test_values_beyond_the_range_of_a_code_are_named_with_their_remedy(tmp_path: Path) -> None:
    """Data far larger than in calibration; the data of calibration have no values out of range and need no remedy."""
    onnx.save(networks.classifier(), tmp_path / "model.onnx")
    quiet = normal(64, 8) * np.float32(1e-2)
    onnx_snn.convert(
        tmp_path / "model.onnx", tmp_path / "spiking.onnx", {"x": quiet}, progress=False, fast=True, exclude="gelu"
    )
    loud = normal(16, 8, seed=3)
    files = tmp_path / "model.onnx", tmp_path / "spiking.onnx"
    found, usual = (onnx_snn.sensitivity(*files, {"x": x}, samples=16, progress=False) for x in (loud, quiet))
    worst = found.nodes[0]
    beyond = int((np.abs(loud) > np.abs(quiet).max() * 8).sum())
    assert worst.name == "x/code"
    assert worst.out_of_range >= beyond > 0
    assert worst.clipped_error == pytest.approx(1.0, abs=1e-3)
    assert f"{worst.out_of_range} are beyond its range" in found.remedy
    assert found.to_json()["remedy"] == found.remedy
    assert usual.remedy == ""
    assert {node.out_of_range for node in usual.nodes} == {0}

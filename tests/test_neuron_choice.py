# SPDX-License-Identifier: Apache-2.0
"""Neurons chosen by `convert`: within the budget, with fewer spikes than by rule, and the same ones in every run."""

from __future__ import annotations

import json
from pathlib import Path

import networks
import numpy as np
import pytest
from networks import normal, run

import onnx_snn
from onnx_snn.allocation.output_error import OutputErrors
from onnx_snn.conversion import pipeline
from onnx_snn.profiling.gain import Gain

pytestmark = pytest.mark.slow
DATA = {"x": normal(32, 8)}


def chosen(path: Path, **options: object) -> onnx_snn.ConversionReport:
    return onnx_snn.convert(networks.classifier(), path, DATA, progress=False, **options)


def spikes(report: onnx_snn.ConversionReport) -> float:
    return sum(sum(node.spikes.values()) for node in report.nodes)


def error(path: Path) -> float:
    found = OutputErrors([run(networks.classifier(), DATA)]).squares([run(path, DATA)])
    return float(np.sqrt(max(found.values())))


@pytest.mark.parametrize("timesteps", [6, 8, 16])
@pytest.mark.parametrize("max_error", [0.03, 0.01])
def test_the_error_is_within_the_budget(timesteps: int, max_error: float, tmp_path: Path) -> None:
    chosen(tmp_path / "snn.onnx", timesteps=timesteps, max_error=max_error)
    assert error(tmp_path / "snn.onnx") <= max_error


@pytest.mark.parametrize("timesteps", [8, 16])
def test_chosen_neurons_fire_less_than_those_by_rule(timesteps: int, tmp_path: Path) -> None:
    path = tmp_path / "snn.onnx"
    assert spikes(chosen(path, timesteps=timesteps)) < spikes(chosen(path, timesteps=timesteps, fast=True))


def test_a_second_run_gives_the_same_bytes(tmp_path: Path) -> None:
    chosen(tmp_path / "first.onnx")
    chosen(tmp_path / "second.onnx")
    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "second.onnx").read_bytes()


def test_settings_of_single_nodes_are_kept(tmp_path: Path) -> None:
    report = chosen(tmp_path / "snn.onnx", nodes=[{"name": "gelu", "timesteps": 5, "bases": 7}])
    (slots,) = (node.slots for node in report.nodes if node.name == "gelu")
    assert slots == 7 * (5 + 1)


def test_a_network_whose_neurons_are_all_fixed_has_nothing_to_choose(tmp_path: Path) -> None:
    fixed = [{"name": ".*", "bases": 6}]
    chosen(tmp_path / "chosen.onnx", nodes=fixed)
    chosen(tmp_path / "ruled.onnx", nodes=fixed, fast=True)
    assert error(tmp_path / "chosen.onnx") == error(tmp_path / "ruled.onnx")


def test_the_expected_gain_is_that_counted_on_the_calibration_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "snn.onnx"
    monkeypatch.setattr(pipeline, "PROFILED_WEIGHTS", 0)
    report = chosen(path)
    expected = report.gain
    assert json.dumps(report.to_json(), allow_nan=False)
    counted = Gain.of(onnx_snn.profile(path, DATA, progress=False))
    assert expected is not None
    assert expected.spikes_per_element == pytest.approx(counted.spikes_per_element, rel=0.02)
    assert expected.energy == pytest.approx(counted.energy, rel=0.02)

# SPDX-License-Identifier: Apache-2.0
"""The budget solver on small networks: its goals are met, its choice is repeated to the byte, its errors are clear."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from networks import normal, relative_error, run, tokens

import onnx_snn
from onnx_snn import CalibrationError, ConfigError, ConvertConfig, TuningReport
from onnx_snn.allocation import candidates
from onnx_snn.cli.main import main

SAMPLES = 64

STRICT = ConvertConfig(strict=True)


def labelled(seed: int) -> dict[str, Any]:
    """Inputs of the classifier, and the decisions of its original, of which noise turns some."""
    x = normal(SAMPLES, 8, seed=seed)
    scores = run(networks.classifier(), {"x": x})["scores"]
    return {"x": x, "labels": (scores + normal(*scores.shape, seed=seed + 1)).argmax(-1)}


@pytest.fixture(scope="module", autouse=True)
def few_candidates() -> Iterator[None]:
    """A quarter of the candidates, for fits that take seconds in place of a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "SHARES_OF_TIMESTEPS", (1.0, 0.25, 0.125))
        patch.setattr(candidates, "FUNCTION_BASES", (2, 4, 8))
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the classifier and its data."""
    folder = tmp_path_factory.mktemp("tune")
    onnx.save(networks.classifier(), folder / "model.onnx")
    np.savez(folder / "calibration.npz", x=normal(SAMPLES, 8))
    np.savez(folder / "data.npz", **labelled(3))
    return folder


def tuned(files: Path, output: Path, **options: Any) -> TuningReport:
    arguments = {"data": files / "data.npz", "progress": False, "config": ConvertConfig(body="closed"), **options}  # type: ignore[arg-type]
    return onnx_snn.tune(files / "model.onnx", output, files / "calibration.npz", **arguments)


@pytest.fixture(scope="module")
def report(files: Path) -> TuningReport:
    return tuned(files, files / "tuned.onnx", target_loss=0.05, minimize="spikes")


@pytest.mark.slow
def test_the_target_holds_and_the_front_goes_down(report: TuningReport) -> None:
    assert report.chosen in report.front
    assert report.chosen.loss <= report.chosen.bound <= 0.05
    costs = [point.spikes for point in report.front]
    assert costs == sorted(costs)
    assert all(point.bound > 0.05 for point in report.front if point.spikes < report.chosen.spikes)


def test_the_file_is_as_good_as_the_run_said(report: TuningReport, files: Path) -> None:
    found = onnx_snn.compare(files / "model.onnx", files / "tuned.onnx", files / "data.npz", progress=False)
    assert found.relative_loss == pytest.approx(report.chosen.loss)
    assert found.relative_error == pytest.approx(report.chosen.relative_error, rel=1e-3)


@pytest.mark.usefixtures("report")
def test_the_target_holds_on_other_data(files: Path) -> None:
    found = onnx_snn.compare(files / "model.onnx", files / "tuned.onnx", labelled(7), progress=False)
    assert found.relative_loss <= 0.05


def test_convert_repeats_it_to_the_byte(report: TuningReport, files: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(report.config.to_json()))
    config = ConvertConfig.from_json(tmp_path / "config.json")
    onnx_snn.convert(files / "model.onnx", tmp_path / "again.onnx", files / "calibration.npz", config=config)
    assert (tmp_path / "again.onnx").read_bytes() == (files / "tuned.onnx").read_bytes()


@pytest.mark.slow
def test_a_rerun_gives_the_same_bytes(report: TuningReport, files: Path, tmp_path: Path) -> None:
    again = tuned(files, tmp_path / "again.onnx", target_loss=0.05, minimize="spikes")
    assert again.front == report.front
    assert (tmp_path / "again.onnx").read_bytes() == (files / "tuned.onnx").read_bytes()


def test_spikes_are_those_of_the_conversion(report: TuningReport) -> None:
    spikes = {f"{node.name} {key}": value for node in report.conversion.nodes for key, value in node.spikes.items()}
    elements = {"first operand 0": 8, "gelu function": 16, "second operand 0": 16}
    mean = np.average([spikes[name] for name in elements], weights=list(elements.values()))
    assert report.chosen.spikes == pytest.approx(mean, rel=1e-9)
    operations = 8 * 16 * spikes["first operand 0"] + 16 * spikes["gelu function"] + 16 * 5 * spikes["second operand 0"]
    assert report.chosen.operations == pytest.approx(operations, rel=1e-9)
    products = 8 * 16 * spikes["first operand 0"] + 16 * 5 * spikes["second operand 0"]
    assert report.chosen.energy == pytest.approx(products * 0.9 / ((8 * 16 + 16 * 5) * 4.6), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("budget", [1.5, 2.5])
def test_spikes_stay_within_a_budget(budget: float, files: Path, tmp_path: Path) -> None:
    found = tuned(files, tmp_path / "tuned.onnx", max_spikes=budget)
    assert 0.5 * budget < found.chosen.spikes <= budget


@pytest.mark.slow
def test_time_steps_stay_within_theirs(files: Path, tmp_path: Path) -> None:
    found = tuned(files, tmp_path / "tuned.onnx", max_spikes=4.0, max_timesteps=3)
    assert found.chosen.timesteps <= 3
    shapes = {tensor.name: tensor.dims for tensor in onnx.load(tmp_path / "tuned.onnx").graph.initializer}
    nodes = networks.spiking_nodes(tmp_path / "tuned.onnx")
    assert all(shapes[node.input[3]][0] <= 3 + 1 for node in nodes)


@pytest.mark.slow
def test_operations_are_saved_in_place_of_spikes(report: TuningReport, files: Path, tmp_path: Path) -> None:
    """Within a tenth, because single decisions decide which choice keeps the target."""
    saved = tuned(files, tmp_path / "tuned.onnx", target_loss=0.05, minimize="operations")
    costs = [point.operations for point in saved.front]
    assert costs == sorted(costs)
    assert saved.chosen.operations <= 1.1 * report.chosen.operations
    assert report.chosen.spikes <= 1.1 * saved.chosen.spikes


@pytest.mark.slow
def test_closed_bodies_get_beta_codes_of_one_segment_alone(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "SHARES_OF_TIMESTEPS", (1.0, 0.75, 0.5))
    beta, closed = (
        tuned(files, tmp_path / f"{body}.onnx", max_spikes=2.5, config=ConvertConfig(body=body))  # type: ignore[arg-type]
        for body in ("loop", "closed")
    )
    assert any(entry.decay is not None for entry in beta.config.nodes)
    assert all(entry.octaves in (None, (0,)) for entry in closed.config.nodes if entry.decay is not None)
    assert beta.chosen.relative_error <= 1.1 * closed.chosen.relative_error
    onnx_snn.convert(
        files / "model.onnx", tmp_path / "again.onnx", files / "calibration.npz", config=beta.config, progress=False
    )
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "loop.onnx").read_bytes()


def test_energy_is_that_of_the_profile(report: TuningReport, files: Path) -> None:
    """On the data that the solver knows spikes from; but for what lies on the edge of a level in float32."""
    profile = onnx_snn.profile(files / "tuned.onnx", files / "calibration.npz", progress=False)
    assert profile.energy.figures()[0].ratio == pytest.approx(report.chosen.energy, rel=5e-2)


@pytest.mark.slow
def test_a_transformer_is_tuned_by_the_decisions_of_the_original(tmp_path: Path) -> None:
    """Without labels; normalizations, softmax and shared codes are chosen too, and only one of two readers left."""
    onnx.save(networks.transformer(), tmp_path / "model.onnx")
    config = ConvertConfig(body="closed", exclude="value")  # type: ignore[arg-type]
    found = onnx_snn.tune(
        tmp_path / "model.onnx", tmp_path / "tuned.onnx", tokens(32), target_loss=0.05, config=config, progress=False
    )
    assert found.metric == "agreement"
    assert {"gelu", "layer_norm deviation", "layer_norm rsqrt", "softmax exp2"} <= set(found.spikes)
    expected, got = (
        run(path, tokens(32, seed=5))["logits"] for path in (tmp_path / "model.onnx", tmp_path / "tuned.onnx")
    )
    assert np.mean(expected.argmax(-1) == got.argmax(-1)) >= 0.95
    assert relative_error(expected, got) < 0.2
    named = {entry.name for entry in found.config.nodes}
    assert "value" not in named
    assert {"query", "key", "softmax", "norm_1"} <= named


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give a target_loss, max_spikes or both"),
        ({"target_loss": 2.0}, "target_loss is 2.0"),
        ({"max_spikes": -1.0}, "max_spikes is -1.0"),
        ({"max_spikes": 1.0, "max_timesteps": 17}, "max_timesteps is 17"),
        ({"max_spikes": 1.0, "minimize": "time"}, "minimize is 'time'; expected 'spikes' or 'operations'"),
        ({"max_spikes": 1e-6, "config": STRICT}, "the sparsest neurons, which are taken, fire"),
        ({"target_loss": 1e-9, "config": STRICT}, "the target is not certified"),
        ({"max_spikes": 1.0, "metric": "bleu"}, "metric is 'bleu'"),
        ({"max_spikes": 1.0, "config": ConvertConfig(preset="paper")}, "preset 'paper'"),  # type: ignore[arg-type]
        ({"max_spikes": 1.0, "config": ConvertConfig(nodes=[{"name": "a", "bases": 1}])}, "leave them out"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], says: str, files: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        tuned(files, tmp_path / "tuned.onnx", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_warning_names_range_where_clipped_values_make_the_error(files: Path, tmp_path: Path) -> None:
    """Calibration data are quieter than those of the loss."""
    quiet = {"x": normal(SAMPLES, 8) * np.float32(0.05)}
    found = onnx_snn.tune(
        files / "model.onnx", tmp_path / "o.onnx", quiet, data=labelled(3), target_loss=0.001, progress=False
    )
    assert re.search(r"the remedy is range, not spikes: .* first operand 0 codes, 30 are beyond", found.warning)


def test_labels_must_fit(files: Path, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="labels"):
        tuned(files, tmp_path / "tuned.onnx", target_loss=0.01, labels=np.arange(3))


@pytest.mark.slow
def test_the_command_writes_the_file_and_its_configuration(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], report: TuningReport
) -> None:
    command = ["tune", "-m", str(files / "model.onnx"), "-o", str(tmp_path / "snn.onnx"), "--body", "closed"]
    command += ["-c", str(files / "calibration.npz"), "--data", str(files / "data.npz"), "--target-loss", "5%"]
    command += ["--minimize", "spikes"]
    assert main([*command, "--report", str(tmp_path / "report.json")]) == 0
    assert "->" in capsys.readouterr().out
    assert (tmp_path / "snn.onnx").read_bytes() == (files / "tuned.onnx").read_bytes()
    assert json.loads((tmp_path / "report.json").read_text())["chosen"]["spikes"] == report.chosen.spikes
    again = ["convert", "-m", str(files / "model.onnx"), "-o", str(tmp_path / "again.onnx"), "-q"]
    again += ["-c", str(files / "calibration.npz"), "--config", str(tmp_path / "snn.json")]
    assert main(again) == 0
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "snn.onnx").read_bytes()


def test_the_command_says_what_is_wrong(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["tune", "-m", str(files / "model.onnx"), "-o", str(tmp_path / "snn.onnx")]
    command += ["-c", str(files / "calibration.npz")]
    assert main(command) == 1
    assert "give a target_loss, max_spikes or both" in capsys.readouterr().err
    assert main([*command, "--target-loss", "1%", "--data", str(tmp_path / "none.npz")]) == 1
    assert "none.npz' does not exist" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit):
        main([*command, "--target-loss", "little"])
    assert "'little' is not a number" in capsys.readouterr().err


BRANCH = """
    positive = Greater(total, zero)
    y = If(positive) <then_branch = yes () => (float[N,4,8] a) { [inner] a = Tanh(g) },
                      else_branch = no () => (float[N,4,8] b) { b = Neg(g) }>
"""


@pytest.mark.slow
def test_what_lies_in_a_branch_is_tuned_too_and_may_be_left_out(tmp_path: Path) -> None:
    body = "[outer] g = Sigmoid(x) total = ReduceSum<keepdims = 0>(x)" + BRANCH
    onnx.save(ir.to_proto(graph(body)), tmp_path / "model.onnx")
    x = {"x": np.abs(normal(16, 4, 8))}
    paths, options = (tmp_path / "model.onnx", tmp_path / "tuned.onnx"), {"max_spikes": 4.0, "progress": False}
    assert set(onnx_snn.tune(*paths, x, **options).spikes) == {"sigmoid", "tanh"}
    config = ConvertConfig(exclude="inner", body="closed")  # type: ignore[arg-type]
    assert set(onnx_snn.tune(*paths, x, config=config, **options).spikes) == {"sigmoid"}
    onnx_snn.convert(paths[0], tmp_path / "whole.onnx", x, fast=True)
    nodes = onnx_snn.sensitivity(paths[0], tmp_path / "whole.onnx", x).nodes
    assert {node.name for node in nodes} == {"outer", "inner"}

# SPDX-License-Identifier: Apache-2.0
"""What tuning delivers where its goal is out of reach, what it promises, and the front from which `convert` builds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from networks import normal, run

import onnx_snn
from onnx_snn import ConfigError, ConvertConfig, TuningReport
from onnx_snn.allocation import candidates
from onnx_snn.cli.main import main
from onnx_snn.config.config_file import read_options
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.tuning.preparation import TuningData, prepare
from onnx_snn.tuning.promise import reach_of, typical_rate

CLOSED = ConvertConfig(body="closed")  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def few_candidates() -> Iterator[None]:
    """A quarter of the candidates, for fits that take seconds in place of a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "SHARES_OF_TIMESTEPS", (1.0, 0.25, 0.125))
        patch.setattr(candidates, "FUNCTION_BASES", (2, 4, 8))
        yield


def labelled(samples: int, seed: int = 3) -> dict[str, Any]:
    """Inputs of the classifier, and the decisions of its original, of which noise turns some."""
    x = normal(samples, 8, seed=seed)
    scores = run(networks.classifier(), {"x": x})["scores"]
    return {"x": x, "labels": (scores + normal(*scores.shape, seed=seed + 1)).argmax(-1)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the classifier and its data."""
    folder = tmp_path_factory.mktemp("tune")
    onnx.save(networks.classifier(), folder / "model.onnx")
    np.savez(folder / "calibration.npz", x=normal(64, 8))
    np.savez(folder / "data.npz", **labelled(64))
    return folder


def tuned(files: Path, output: Path, **options: Any) -> TuningReport:
    arguments = {"data": files / "data.npz", "progress": False, "config": CLOSED, **options}
    return onnx_snn.tune(files / "model.onnx", output, files / "calibration.npz", **arguments)


@pytest.fixture(scope="module")
def doubtful(files: Path) -> TuningReport:
    """Tuning for a target that 64 samples cannot certify."""
    return tuned(files, files / "doubtful.onnx", target_loss=0.005)


@pytest.mark.slow
def test_a_network_is_written_although_the_target_is_not_certified(doubtful: TuningReport, files: Path) -> None:
    assert (files / "doubtful.onnx").exists()
    assert not doubtful.certified
    assert doubtful.chosen.bound > 0.005
    assert doubtful.chosen.seems_within(0.005)
    assert "95%: loss at most " in doubtful.warning
    assert "on as many other samples" in doubtful.warning
    assert "target 0.500%; " in doubtful.warning
    assert "labelled samples would be enough" in doubtful.warning
    assert "\n" not in doubtful.warning
    assert doubtful.to_json()["warning"] == doubtful.warning


def test_it_is_the_cheapest_that_seems_within(doubtful: TuningReport) -> None:
    cheaper = [point for point in doubtful.front if point.spikes < doubtful.chosen.spikes]
    assert all(not point.seems_within(0.005) for point in cheaper)


@pytest.mark.slow
def test_samples_that_are_said_to_be_enough_are_of_the_right_order(files: Path, tmp_path: Path) -> None:
    """With as many as the reach asks for, a target is certified at an output error of about the typical one."""
    reach = tuned(files, tmp_path / "few.onnx", target_loss=0.02).reach
    assert reach is not None
    assert reach.samples == 64
    assert reach.needed > 64
    assert "too few" in reach.text()
    found = tuned(files, tmp_path / "many.onnx", target_loss=0.02, data=labelled(2 * reach.needed))
    assert found.certified
    assert found.reach is not None
    assert "enough" in found.reach.text()
    assert found.chosen.bound <= 0.02
    assert found.chosen.mean_bound <= found.chosen.bound
    assert found.chosen.relative_error > 2e-3


def test_the_reach_is_known_before_any_run(files: Path) -> None:
    data = TuningData(labelled(64))
    runner = prepare(RunOptions(CLOSED, progress=False), files / "model.onnx", files / "calibration.npz", data, 4)
    trials = runner.trial_runner(progress=False)
    assert 0.0 < typical_rate(trials) < 0.05
    easy, hard = reach_of(trials, 0.05), reach_of(trials, 0.002)
    assert easy is not None
    assert hard is not None
    assert easy.needed < 64 < hard.needed


@pytest.mark.slow
def test_no_reach_is_told_for_scores_that_do_not_count_predictions(files: Path, tmp_path: Path) -> None:
    found = tuned(files, tmp_path / "tuned.onnx", target_loss=0.05, metric="cosine")
    assert found.reach is None
    assert np.isnan(found.chosen.label_free)


@pytest.mark.slow
def test_calibration_data_tell_how_often_predictions_flip(files: Path) -> None:
    """Where few samples are labelled; without labels they would be judged themselves."""
    run_options = RunOptions(CLOSED, progress=False)
    arguments = run_options, files / "model.onnx", files / "calibration.npz"
    few = prepare(*arguments, TuningData(labelled(16)), 4)
    assert sum(len(feed["x"]) for feed in few.unlabelled) == 64
    assert not prepare(*arguments, TuningData(files / "calibration.npz"), 4).unlabelled
    assert not prepare(*arguments, TuningData(labelled(600)), 4).unlabelled
    runner = few.trial_runner(progress=False)
    assert (runner.samples, runner.items) == (16, 16)
    point = runner.point([knob.candidates[0] for knob in runner.knobs])
    assert point.label_free > 0.0
    assert len(runner.expected) == len(few.batches) + len(few.unlabelled)


@pytest.mark.slow
def test_strict_tuning_writes_nothing(files: Path, tmp_path: Path) -> None:
    config = ConvertConfig(body="closed", strict=True)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the target is not certified"):
        tuned(files, tmp_path / "tuned.onnx", target_loss=0.005, config=config)
    assert not list(tmp_path.iterdir())
    assert tuned(files, tmp_path / "tuned.onnx", target_loss=0.1, config=config).certified


@pytest.mark.slow
def test_the_sparsest_network_is_written_where_none_is_within_the_spikes(files: Path, tmp_path: Path) -> None:
    found = tuned(files, tmp_path / "tuned.onnx", max_spikes=1e-6)
    assert "max_spikes is 1e-06, but the sparsest neurons, which are taken, fire" in found.warning
    assert found.chosen == found.front[0]
    both = tuned(files, tmp_path / "both.onnx", max_spikes=0.8, target_loss=0.005)
    assert both.chosen.spikes <= 0.8
    assert "the target is not certified" in both.warning
    assert "more than 0.8 spikes per element may help" in both.warning


@pytest.mark.slow
def test_the_most_exact_network_is_written_where_nothing_seems_within(files: Path, tmp_path: Path) -> None:
    found = tuned(files, tmp_path / "tuned.onnx", target_loss=1e-9, max_timesteps=2)
    assert "the most exact neurons with up to 2 time steps lose" in found.warning
    assert found.chosen == found.front[-1]


def command(files: Path, name: str, *options: str) -> list[str]:
    """A command line for the classifier and its calibration data."""
    data = ["-m", str(files / "model.onnx"), "-c", str(files / "calibration.npz"), "-q", *options]
    return [name, *data, *(["--data", str(files / "data.npz")] if name == "tune" else [])]


@pytest.fixture(scope="module")
def front(files: Path) -> Path:
    """A front that the command has written."""
    path = files / "front.json"
    options = ["-o", str(files / "cli.onnx"), "--body", "closed", "--target-loss", "0.5%", "--front", str(path)]
    assert main(command(files, "tune", *options)) == 0
    return path


@pytest.mark.slow
def test_the_command_warns_and_succeeds_and_fails_if_strict(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["-o", str(tmp_path / "snn.onnx"), "--body", "closed", "--target-loss", "0.5%"]
    assert main([*command(files, "tune", *options), "--strict", "--front", str(tmp_path / "front.json")]) == 1
    assert "onnx-snn: error: the target is not certified" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main(command(files, "tune", *options)) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("onnx-snn: warning: the target is not certified: 95%: loss at most")


@pytest.mark.slow
def test_every_point_of_the_front_can_be_built(front: Path, files: Path, tmp_path: Path) -> None:
    saved = json.loads(front.read_text())
    assert [entry["point"] for entry in saved["points"]] == list(range(1, len(saved["points"]) + 1))
    chosen = saved["chosen"]
    for entry in saved["points"]:
        path, number = tmp_path / f"{entry['point']}.onnx", str(entry["point"])
        assert main(command(files, "convert", "-o", str(path), "--config", str(front), "--point", number)) == 0
        found = onnx_snn.compare(files / "model.onnx", path, files / "data.npz", progress=False)
        assert found.relative_error == pytest.approx(entry["relative_error"], rel=1e-3)
    assert (tmp_path / f"{chosen}.onnx").read_bytes() == (files / "cli.onnx").read_bytes()


def test_the_report_numbers_the_points(doubtful: TuningReport) -> None:
    lines = doubtful.text().splitlines()
    assert all(len(line) <= 80 for line in lines)
    arrows = [line for line in lines if line.startswith("->")]
    number = doubtful.front_to_json()["chosen"]
    assert [int(line.removeprefix("->").split()[0]) for line in arrows] == [number]
    assert doubtful.configurations[number - 1] == doubtful.config


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--config", "{front}"], "is a Pareto front; choose one of its points 1 to"),
        (["--config", "{front}", "--point", "0"], "point is 0, but '{front}' has points 1 to"),
        (["--config", "{front}", "--point", "99"], "point is 99, but '{front}' has points 1 to"),
        (["--config", "{plain}", "--point", "1"], "point is 1, but '{plain}' is no Pareto front"),
        (["--point", "1"], "point is 1, but no file of a Pareto front is given"),
    ],
)
def test_a_point_must_be_one_of_a_front(
    options: list[str], says: str, front: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = front.with_name("cli.json")
    given = [option.format(front=front, plain=plain) for option in options]
    assert main(command(files, "convert", "-o", str(tmp_path / "snn.onnx"), *given)) == 1
    assert says.format(front=front, plain=plain) in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ['{"points": []}', '{"points": 3}', '{"points": [{"point": 1}]}', "[1]", "{"])
def test_a_spoilt_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "front.json").write_text(text)
    with pytest.raises(ConfigError):
        read_options(tmp_path / "front.json", 1)

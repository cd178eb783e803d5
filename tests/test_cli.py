# SPDX-License-Identifier: Apache-2.0
"""The command line as a user meets it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from cli_requests import SAMPLES, Request
from networks import normal, spiking_nodes

import onnx_snn
from onnx_snn.cli.main import main

# --- what works ----------------------------------------------------------------------------------


def test_convert_writes_the_file_and_reports(
    good: Request, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("onnx_snn.cli.installed_kernels.find_library", lambda: Path("library"))
    assert main([*good.arguments(), "-T", "8", "--body", "closed"]) == 0
    printed = capsys.readouterr()
    assert [node.op_type for node in spiking_nodes(good.output)] == ["MbeNeuron"] * 3
    assert f"{good.model} -> {good.output}" in printed.out
    assert "function gelu  1      1          0     0" in printed.out
    assert "T=8, scope full, preset default; 8 calibration samples" in printed.out
    assert printed.err == ""


def test_missing_kernels_are_noted_once_and_off_the_results(
    good: Request, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("onnx_snn.cli.installed_kernels.find_library", lambda: None)
    comparison = ["compare", *map(str, (good.model, good.output, good.calibration)), "--json"]
    for arguments in (good.arguments(), comparison):
        assert main(arguments) == 0
        printed = capsys.readouterr()
        assert printed.err.startswith("onnx-snn: note: no kernels installed: ")
        assert len(printed.err.splitlines()) == 1
        assert "no kernels" not in printed.out
    for silent in ([*good.arguments(), "--dry-run"], [*comparison, "--no-kernels"], [*comparison, "-q"]):
        assert main(silent) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_quiet_says_nothing(good: Request, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*good.arguments(), "-q"]) == 0
    assert good.output.exists()
    assert capfd.readouterr() == ("", "")


def test_nodes_lists_every_node(good: Request, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*good.arguments(), "--dry-run", "--nodes", "--scope", "nonlinear"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (gelu,) = [line.split() for line in lines if line.startswith("gelu")]
    assert gelu == ["gelu", "function", "gelu", "converted"]
    assert sum("weight matmul or convolution," in line for line in lines) == 2  # the reason goes on in the next line
    assert not good.output.exists()


def test_the_report_goes_to_a_file(good: Request, tmp_path: Path) -> None:
    assert main([*good.arguments(), "-q", "--report", str(tmp_path / "report.json")]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert [node["status"] for node in report["nodes"]] == ["converted"] * 3
    assert report["output"] == str(good.output)


def test_flags_override_the_configuration_file(good: Request, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"timesteps": 2, "scope": "nonlinear", "body": "closed", "gate": false}')
    assert main([*good.arguments(), "-q", "--config", str(config), "-T", "5", "--gate"]) == 0
    made = onnx_snn.inspect(good.output).config
    assert {name: made[name] for name in ("timesteps", "scope", "body", "gate")} == {
        "timesteps": 5,
        "scope": "nonlinear",
        "body": "closed",
        "gate": True,
    }


@pytest.mark.slow
def test_choice_of_nodes_takes_several_names(good: Request) -> None:
    assert main([*good.arguments(), "-q", "--include", "first", "gel.", "--exclude", "first"]) == 0
    assert onnx_snn.inspect(good.output).operators == {"MbeNeuron (gelu)": 1}


@pytest.mark.slow
def test_inspect_and_compare_speak_json(good: Request, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*good.arguments(), "-q"]) == 0
    assert main(["inspect", str(good.output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["operators"] == {
        "MbeNeuron (gelu)": 1,
        "MbeNeuron (identity)": 2,
    }
    files = [str(good.model), str(good.output), str(good.calibration)]
    assert main(["compare", *files, "--json", "--samples", "4"]) == 0
    evaluation = json.loads(capsys.readouterr().out)
    assert evaluation["samples"] == 4
    assert evaluation["relative_error"] < 0.01
    assert main(["compare", *files]) == 0
    assert "agreement of predictions" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "functions", "reason"),
    [
        pytest.param(
            "g = Gelu (x) [other] y = com.microsoft.Inverse (g)",
            "",
            "no rule matches the operator com.microsoft.Inverse",
            id="onnxruntime's",
        ),
        pytest.param(
            "g = Gelu (x) [other] y = acme.Mystery (g)",
            '<domain: "acme", opset_import: ["" : 20]> Mystery (x) => (y) { [round] y = Round (x) }',
            "holds other/round: no rule matches Round here",
            id="a function",
        ),
    ],
)
def test_a_network_with_an_operator_that_nobody_knows(
    body: str, functions: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = '<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1, "acme" : 1]>'
    text = f"{header} main (float[N, 4, 4] x) => (float[N, 4, 4] y) {{ {body} }} {functions}"
    onnx.save(onnx.parser.parse_model(text), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=normal(SAMPLES, 4, 4))
    request = Request(tmp_path / "model.onnx", tmp_path / "spiking.onnx", tmp_path / "data.npz")
    assert main([*request.arguments(), "--strict"]) == 1
    assert f"strict, but not converted: other: {reason}" in capsys.readouterr().err
    assert not request.output.exists()
    assert main(request.arguments()) == 0
    assert reason in capsys.readouterr().out
    assert [node.op_type for node in spiking_nodes(request.output)] == ["MbeNeuron"]
    assert "other" in [node.name for node in onnx.load(request.output).graph.node]


# --- nodes and their settings --------------------------------------------------------------------


@pytest.mark.slow
def test_compare_ranks_the_nodes(good: Request, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*good.arguments(), "-q"]) == 0
    command = ["compare", str(good.model), str(good.output), str(good.calibration), "--per-node", "--metric", "cosine"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert all(node.name in printed for node in spiking_nodes(good.output))
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    errors = [node["alone"]["relative_error"] for node in found["nodes"]]
    assert errors == sorted(errors, reverse=True)
    assert found["whole"]["metric"] == "cosine"


def test_inspect_counts_the_settings_of_nodes(good: Request, capsys: pytest.CaptureFixture[str]) -> None:
    good.options["config"] = good.model.with_suffix(".json")
    good.options["config"].write_text('{"nodes": [{"name": "gelu", "bases": 5}]}')
    assert main([*good.arguments(), "-q"]) == 0
    assert main(["inspect", str(good.output)]) == 0
    assert "neurons: tuned, 1 with settings of their own" in capsys.readouterr().out


# --- arguments and programs ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"timesteps": "2.5"},
        {"timesteps": "x"},
        {"scope": "everything"},
        {"preset": "ours"},
        {"body": "open"},
        {"headroom": "wide"},
        {"colour": "red"},
    ],
    ids=str,
)
def test_arguments_that_cannot_be_parsed_exit_with_2(
    options: dict[str, str], good: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_of:
        main(dataclasses.replace(good, options=options).arguments())
    assert exit_of.value.code == 2
    assert next(iter(options)) in capsys.readouterr().err
    assert not good.output.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "convert -m {model} -o {other} -c {none}",
        "compare {model} {spiking} {none}",
        "compare {model} {spiking} {none} --per-node",
        "profile {spiking} {none}",
        "tune -m {model} -o {other} -c {data} --data {none} --target-loss 1%",
        "report {model} {spiking} {none} --png {folder}",
    ],
)
@pytest.mark.parametrize("missing", ["test.npz", "test"])
def test_a_missing_data_file_is_not_called_calibration_data(
    command: str, missing: str, good: Request, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if command.startswith("report"):
        pytest.importorskip("matplotlib")
    good.convert()
    none = tmp_path / missing
    files = {"model": good.model, "spiking": good.output, "data": good.calibration, "none": none}
    words = command.format(**files, other=tmp_path / "other.onnx", folder=tmp_path / "charts").split()
    assert main(words) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message == f"onnx-snn: error: data file '{none}' does not exist; give an .npz file or a folder"


@pytest.mark.parametrize("command", ["", "export", "convert", "inspect", "compare", "demo"])
def test_help_names_the_arguments(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_of:
        main([*command.split(), "--help"])
    assert exit_of.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: onnx-snn {command}".rstrip())
    assert {"convert": "--calibration", "export": "--task", "compare": "--samples"}.get(command, "-h") in text


def test_a_command_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_of:
        main([])
    assert exit_of.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.slow
def test_export_without_a_model_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optimum.exporters.onnx")
    assert main(["export", "-m", str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("onnx-snn: error: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", [[sys.executable, "-m", "onnx_snn"], [str(Path(sys.executable).with_name("onnx-snn"))]]
)
def test_the_programs_run(program: list[str], tmp_path: Path) -> None:
    version = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith(f"onnx-snn {onnx_snn.__version__}\nkernels: ")
    failed = subprocess.run([*program, "inspect", str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr == f"onnx-snn: error: model '{tmp_path / 'none'}' does not exist\n"

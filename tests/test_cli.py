# SPDX-License-Identifier: Apache-2.0
"""The command line as a user meets it, and bad input: a clear error through it and through the API."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from networks import normal, spiking_nodes

import onnx_snn
from onnx_snn import CalibrationError, ConfigError, ModelError, OutputError
from onnx_snn.cli.main import main

SAMPLES = 8


@dataclass(frozen=True)
class Request:
    """What a user asks for: files, and options as the API names them."""

    model: Path
    output: Path
    calibration: Path | None
    options: dict[str, Any] = field(default_factory=dict)

    def convert(self) -> onnx_snn.ConversionReport:
        options = dict(self.options)
        config = options.pop("config", None)
        if config is not None:
            options["config"] = onnx_snn.ConvertConfig.from_json(config)
        return onnx_snn.convert(self.model, self.output, self.calibration, **options)

    def arguments(self) -> list[str]:
        arguments = ["convert", "-m", str(self.model), "-o", str(self.output)]
        if self.calibration is not None:
            arguments += ["-c", str(self.calibration)]
        for name, value in self.options.items():
            arguments += [f"--{name.replace('_', '-')}", str(value)]
        return arguments


@pytest.fixture
def good(tmp_path: Path) -> Request:
    """A request that succeeds."""
    onnx.save(networks.classifier(), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=normal(SAMPLES, 8))
    return Request(tmp_path / "model.onnx", tmp_path / "spiking.onnx", tmp_path / "data.npz")


# --- bad input -----------------------------------------------------------------------------------

Spoil = Callable[[Request], Request]
BAD: dict[str, tuple[type[Exception], str, Spoil]] = {}


def bad(error: type[Exception], says: str) -> Callable[[Spoil], Spoil]:
    """Add a way to spoil a request to `BAD`."""

    def add(spoil: Spoil) -> Spoil:
        BAD[spoil.__name__] = (error, says, spoil)
        return spoil

    return add


def model(body: str) -> Spoil:
    """A model of another body in place of the good one."""

    def spoil(good: Request) -> Request:
        onnx.save(ir.to_proto(graph(body, inputs="float[N,8] x", outputs="float[N,8] y")), good.model)
        return good

    return spoil


def data(**arrays: Any) -> Spoil:
    """Other calibration data in place of the good one."""

    def spoil(good: Request) -> Request:
        np.savez(good.calibration, **arrays)  # type: ignore[arg-type]
        return good

    return spoil


def output(name: str) -> Spoil:
    """Another name of the output, relative to the folder of the model."""
    return lambda good: dataclasses.replace(good, output=good.model.parent / name)


def options(**values: Any) -> Spoil:
    return lambda good: dataclasses.replace(good, options=values)


@bad(ModelError, "is not an ONNX model")
def not_an_onnx_file(good: Request) -> Request:
    good.model.write_text("This is no model at all.\n" * 20)
    return good


@bad(ModelError, "is not an ONNX model")
def an_empty_file(good: Request) -> Request:
    good.model.write_bytes(b"")
    return good


@bad(ModelError, "is not an ONNX model, or is truncated")
def a_truncated_file(good: Request) -> Request:
    content = good.model.read_bytes()
    good.model.write_bytes(content[: len(content) // 2])
    return good


@bad(ModelError, "does not exist")
def a_missing_file(good: Request) -> Request:
    good.model.unlink()
    return good


def with_external_data(good: Request) -> Path:
    """Move the weights of the model to a file of their own; its path."""
    onnx.save(networks.classifier(), good.model, save_as_external_data=True, location="weights", size_threshold=0)
    return good.model.parent / "weights"


@bad(ModelError, "which does not exist; put that file beside the model")
def missing_external_data(good: Request) -> Request:
    with_external_data(good).unlink()
    return good


@bad(ModelError, "fetch it again")
def short_external_data(good: Request) -> Request:
    os.truncate(with_external_data(good), 100)
    return good


@bad(OutputError, "is the input")
def the_input_through_a_symbolic_link(good: Request) -> Request:
    good.output.symlink_to(good.model)
    return good


@bad(OutputError, "is the input")
def the_input_through_a_hard_link(good: Request) -> Request:
    good.output.hardlink_to(good.model)
    return good


@bad(CalibrationError, "cannot read .* as an .npz file")
def data_that_is_no_archive(good: Request) -> Request:
    (good.model.parent / "data.npz").write_text("no archive")
    return good


@bad(CalibrationError, "calibration data is missing; give real inputs")
def no_calibration_data(good: Request) -> Request:
    return dataclasses.replace(good, calibration=None)


@bad(CalibrationError, "does not exist")
def missing_calibration_data(good: Request) -> Request:
    return dataclasses.replace(good, calibration=good.model.parent / "none.npz")


@bad(ConfigError, "cannot be read as a JSON configuration")
def a_configuration_that_is_not_json(good: Request) -> Request:
    path = good.model.parent / "config.json"
    path.write_text("timesteps: 4")
    return options(config=path)(good)


@bad(ConfigError, r"unknown options \['time_steps'\]; known are")
def a_configuration_with_an_unknown_key(good: Request) -> Request:
    path = good.model.parent / "config.json"
    path.write_text('{"time_steps": 4}')
    return options(config=path)(good)


holes = normal(SAMPLES, 8)
holes[3, 2] = np.nan

BAD |= {
    "unknown operator": (
        ModelError,
        r"onnxruntime knows no operator acme\.Mystery; convert the model without it",
        model("h = acme.Mystery (x) y = Gelu (h)"),
    ),
    "nothing to convert": (ModelError, "nothing can be converted", model("y = Add (x, x)")),
    "other names": (CalibrationError, "lacks model input 'x'", data(pixels=normal(SAMPLES, 8))),
    "other size": (CalibrationError, "fixes axis 1 to 8", data(x=normal(SAMPLES, 9))),
    "other rank": (CalibrationError, "expects 2 axes", data(x=normal(SAMPLES, 2, 8))),
    "other type": (CalibrationError, "has dtype float64", data(x=normal(SAMPLES, 8).astype(float))),
    "no samples": (CalibrationError, "has 0 samples", data(x=normal(0, 8))),
    "NaN": (CalibrationError, r"holds nan at \(3, 2\)", data(x=holes)),
    "no time steps": (ConfigError, "timesteps is 0; expected a whole number from 1 to 16", options(timesteps=0)),
    "too many time steps": (ConfigError, "timesteps is 17; expected a whole number", options(timesteps=17)),
    "negative time steps": (ConfigError, "timesteps is -1; expected a whole number", options(timesteps=-1)),
    "headroom": (ConfigError, "headroom is 0.5; expected 1 to 1024", options(headroom=0.5)),
    "no such node": (ConfigError, "'gelo' matches no node .* closest are .'gelu'", options(exclude="gelo")),
    "batch of nothing": (CalibrationError, "must be at least 1", options(batch_size=0)),
    "missing folder": (OutputError, "does not exist; create it first", output("missing/spiking.onnx")),
    "folder as output": (OutputError, "is a folder; give the name", output(".")),
    "path below a file": (OutputError, "does not exist; create it first", output("data.npz/spiking.onnx")),
    "input as output": (OutputError, "is the input", output("model.onnx")),
}  # fmt: skip


@pytest.mark.parametrize(("error", "says", "spoil"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_a_clear_error_and_leaves_no_file(
    error: type[Exception],
    says: str,
    spoil: Spoil,
    good: Request,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    request = spoil(good)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error, match=says):
        request.convert()
    assert main(request.arguments()) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("onnx-snn: error: ")
    assert sorted(tmp_path.rglob("*")) == before


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


def test_a_report_that_cannot_be_written_is_an_error_before_the_work(
    good: Request, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("missing/report.json", "data.npz/report.json", "."):
        assert main([*good.arguments(), "--report", str(tmp_path / name)]) == 1
        assert capsys.readouterr().err.startswith("onnx-snn: error: ")
        assert not good.output.exists()


@pytest.mark.parametrize("command", ["inspect", "compare"])
def test_other_commands_report_bad_files_as_well(
    command: str, good: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    not_an_onnx_file(good)
    files = {"inspect": [good.model], "compare": [good.model, good.model, good.calibration]}[command]
    assert main([command, *map(str, files)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("onnx-snn: error: ")


# --- what works ----------------------------------------------------------------------------------


def test_convert_writes_the_file_and_reports(
    good: Request, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("onnx_snn.cli.main.find_library", lambda: Path("library"))
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
    monkeypatch.setattr("onnx_snn.cli.main.find_library", lambda: None)
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


def test_quiet_says_nothing(good: Request, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*good.arguments(), "-q"]) == 0
    assert good.output.exists()
    assert capfd.readouterr() == ("", "")


def test_nodes_lists_every_node(good: Request, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*good.arguments(), "--dry-run", "--nodes", "--scope", "nonlinear"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (gelu,) = [line.split() for line in lines if line.startswith("gelu")]
    assert gelu == ["gelu", "function", "gelu", "converted"]
    assert sum("weight matmul or convolution, which scope nonlinear leaves out" in line for line in lines) == 2
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


def test_choice_of_nodes_takes_several_names(good: Request) -> None:
    assert main([*good.arguments(), "-q", "--include", "first", "gel.", "--exclude", "first"]) == 0
    assert onnx_snn.inspect(good.output).operators == {"MbeNeuron (gelu)": 1}


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


# --- as programs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program", [[sys.executable, "-m", "onnx_snn"], [str(Path(sys.executable).with_name("onnx-snn"))]]
)
def test_the_programs_run(program: list[str], tmp_path: Path) -> None:
    version = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith(f"onnx-snn {onnx_snn.__version__}\nkernels: ")
    failed = subprocess.run([*program, "inspect", str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr == f"onnx-snn: error: model '{tmp_path / 'none'}' does not exist\n"


# --- where the error comes from ------------------------------------------------------------------


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
    assert "nodes 1" in capsys.readouterr().out

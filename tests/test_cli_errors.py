# SPDX-License-Identifier: Apache-2.0
"""Bad input: a clear error through the command line and through the API."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from cli_requests import SAMPLES, Request
from graphs import graph
from networks import normal

from onnx_snn import CalibrationError, ConfigError, ModelError, OutputError
from onnx_snn.cli.main import main

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


@bad(CalibrationError, "data file .* does not exist; give an .npz file or a folder")
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
    "no samples": (CalibrationError, "the data is empty; give at least one sample", data(x=normal(0, 8))),
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

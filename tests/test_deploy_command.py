# SPDX-License-Identifier: Apache-2.0
"""The command `deploy`."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
from graphs import graph

from onnx_snn.cli.main import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(ir.to_proto(graph("y = Gelu (x)")), tmp_path / "gelu.onnx")
    return tmp_path / "gelu.onnx"


def test_a_repository_of_triton_is_written(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", "-m", str(model), "--triton", str(tmp_path / "served"), "--name", "mine"]) == 0
    assert capsys.readouterr().out == f"written: {tmp_path / 'served' / 'mine'}\n"
    assert (tmp_path / "served" / "mine" / "1" / "model.onnx").read_bytes() == model.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--genai", "out"], 1, "is no folder; give the folder of a decoder"),
        (["--genai", "out", "--name", "n"], 1, "['name'] are options for Triton"),
        (["--genai", "out", "--max-batch-size", "0"], 1, "['max_batch_size'] are options for Triton"),
        (["--triton", "out", "--name", "a/b"], 1, "'a/b' is no name of a model"),
        (["--triton", "out", "--genai", "out"], 2, "not allowed with argument"),
        ([], 2, "one of the arguments --triton --genai is required"),
    ],
)
def test_bad_arguments_write_nothing(
    arguments: list[str], status: int, message: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(model.parent / "out") if argument == "out" else argument for argument in arguments]
    try:
        found = main(["deploy", "-m", str(model), *given])
    except SystemExit as ended:
        found = int(str(ended.code))
    assert found == status
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert list(model.parent.iterdir()) == [model]

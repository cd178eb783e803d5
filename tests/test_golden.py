# SPDX-License-Identifier: Apache-2.0
"""Networks that releases converted keep their bits, by the kernels of every instruction set and by their functions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from golden import write
from golden.compare import FOLDER, differences, files
from native import NARROWER

import onnx_snn
from onnx_snn.neurons.opset import OPERATORS

LARGEST = 300_000
"""Bytes that the golden files of a release may have."""


@pytest.mark.parametrize("path", files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "functions"])
def test_the_same_bits(path: Path, kernels: bool) -> None:
    assert differences(path, kernels=kernels) == []


@pytest.mark.slow
@pytest.mark.parametrize("isa", NARROWER)
def test_the_same_bits_by_narrower_instructions(isa: str) -> None:
    """The widest ones of the processor run in this process."""
    command = [sys.executable, "-W", "ignore", FOLDER / "compare.py"]
    ended = subprocess.run(command, env=os.environ | {"ONNX_SNN_ISA": isa}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_other_bits_are_seen(tmp_path: Path) -> None:
    source = FOLDER / "0.1.0" / "softmax.onnx"
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes())
    with np.load(source.with_suffix(".npz")) as arrays:
        changed = dict(arrays)
    changed["0:y"].flat[3] = np.nextafter(changed["0:y"].flat[3], np.float32(1.0))
    np.savez(path.with_suffix(".npz"), **changed)
    assert differences(path, kernels=True) == ["0:y"]


def test_every_operator_is_among_them() -> None:
    defined = {function.name for path in files() for function in onnx.load(path).functions}
    assert defined == set(OPERATORS)


def test_a_release_is_written_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(onnx_snn, "__version__", "0.1.0")
    assert write.main() == 1
    assert "written once" in capsys.readouterr().err


def test_the_files_of_a_release_are_small() -> None:
    for folder in {path.parent for path in files()}:
        assert sum(file.stat().st_size for file in folder.iterdir()) < LARGEST


@pytest.mark.parametrize(
    ("a", "b", "exact"),
    [
        ([[1.0, 2.0, 3.0]], [[1.0], [5.0], [-7.0]], True),
        ([[0.1, 0.0, 0.0]], [[0.5], [3.0], [7.0]], True),
        ([[0.1, 0.7, 0.0]], [[0.5], [-2.0], [7.0]], True),
        ([[0.1, 0.7, 0.3]], [[0.5], [-2.0], [1.0]], False),
        ([[0.1, 0.7]], [[0.3], [0.9]], False),
        ([[2.0**20, 2.0**-5, 1.0]], [[1.0], [1.0], [1.0]], False),
    ],
)
def test_which_sums_do_not_depend_on_their_order(a: list[list[float]], b: list[list[float]], exact: bool) -> None:
    assert write.sums_are_exact(np.float32(a), np.float32(b), 24) == exact

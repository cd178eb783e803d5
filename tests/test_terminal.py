# SPDX-License-Identifier: Apache-2.0
"""What the command line writes: one line for each failure, no control characters, and the right exit status."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import networks
import numpy as np
import onnx
import pytest
from networks import normal
from onnx import helper

from onnx_snn.cli import terminal
from onnx_snn.cli.commands import inspect
from onnx_snn.cli.main import main
from onnx_snn.formatting import printable, screen_table, wrapped

HOSTILE = "\x1b[31mred\x1b[2J\x1b]0;title\x07\nall nodes converted\r\u202ecba\udcff"


def test_printable_text_is_left_as_it_is() -> None:
    assert printable("µ is printable … and so is é") == "µ is printable … and so is é"


def test_control_characters_are_shown_as_escapes() -> None:
    assert printable(HOSTILE).isprintable()
    assert printable("a\x1b[2Jb\n") == r"a\x1b[2Jb\n"
    assert printable("a\x1b[2Jb\n", lines=True) == "a\\x1b[2Jb\n"
    assert screen_table(("node",), [(HOSTILE,)]).count("\n") == 2
    assert "\x1b" not in wrapped(HOSTILE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx.save(networks.classifier(), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=normal(8, 8))
    return tmp_path


def test_names_in_a_file_do_not_control_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = HOSTILE.removesuffix("\udcff")
    model = networks.classifier()
    for node in model.graph.node:
        node.name += hostile
    onnx.save(model, tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=normal(8, 8))
    files = [str(tmp_path / name) for name in ("model.onnx", "snn.onnx", "data.npz")]
    convert = ["convert", "-m", files[0], "-o", files[1], "-c", files[2], "--fast", "--nodes"]
    for command in (
        convert,
        [*convert, "--exclude", hostile],
        ["inspect", files[1]],
        ["profile", *files[1:], "--nodes"],
        ["compare", *files],
        ["compare", *files, "--per-node"],
    ):
        main(command)
        for text in capsys.readouterr():
            assert all(char.isprintable() or char == "\n" for char in text), command
            assert "\nall nodes converted" not in text


def run(
    folder: Path, *arguments: str, stdout: int = subprocess.PIPE, limit: int | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, which can write files of `limit` bytes."""

    def restrict() -> None:
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "onnx_snn", *arguments]
    return subprocess.run(
        command, cwd=folder, stdout=stdout, stderr=subprocess.PIPE, text=True, preexec_fn=restrict, check=False
    )


DRY = ("convert", "-m", "model.onnx", "--dry-run")


@pytest.mark.slow
def test_an_output_that_is_full_is_one_line(folder: Path) -> None:
    with (folder / "out").open("w") as file:
        ended = run(folder, *DRY, stdout=file.fileno(), limit=0)
    assert ended.returncode == 1
    assert ended.stderr.startswith("onnx-snn: error: standard output cannot be written")
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
def test_an_output_that_is_closed_is_one_line(folder: Path) -> None:
    command = f"exec {sys.executable} -m onnx_snn {' '.join(DRY)} >&-"
    ended = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("onnx-snn: error: standard output cannot be written")
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_error(folder: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    ended = run(folder, *DRY, stdout=write)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.slow
def test_an_output_of_few_characters_gets_escapes(folder: Path) -> None:
    """A terminal of ASCII alone."""
    command = [sys.executable, "-m", "onnx_snn", "convert", "-m", "ä.onnx", "--dry-run"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "1"}
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 1
    assert "\\xe4.onnx' does not exist" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_leaves_nothing(number: int, status: int, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 8]) for name in ("x", "y"))
    names = ["x", *(f"t{i}" for i in range(60)), "y"]
    chain = [helper.make_node("Tanh", [a], [b]) for a, b in itertools.pairwise(names)]
    onnx.save(helper.make_model(helper.make_graph(chain, "g", [x], [y]), ir_version=9), folder / "model.onnx")
    arguments = ["convert", "-m", "model.onnx", "-o", "snn.onnx", "-c", "data.npz", "-v"]
    command = [sys.executable, "-m", "onnx_snn", *arguments]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()  # the first record: work has begun
        time.sleep(0.5)
        process.send_signal(number)
        rest = process.stderr.read()
    assert line
    assert process.returncode == status
    assert "Traceback" not in rest
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("verbose", [False, True])
def test_an_unforeseen_error_is_one_line(
    verbose: bool, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError("by\nnought")

    monkeypatch.setattr(inspect, "run", fail)
    assert main(["inspect", str(folder / "model.onnx"), *(["-v"] if verbose else [])]) == terminal.FAILED
    err = capsys.readouterr().err
    assert "onnx-snn: error: unforeseen ZeroDivisionError in test_terminal.py" in err
    assert "by nought; please report it" in err
    assert ("Traceback" in err) == verbose
    assert verbose or err.count("\n") == 1

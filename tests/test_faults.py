# SPDX-License-Identifier: Apache-2.0
"""Faults of the system while a command runs: writers of one file at once, a full disk, a folder that is read-only, and
memory that runs out. Each ends in one line, and what was there before stays."""

from __future__ import annotations

import io
import os
import resource
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import networks
import numpy as np
import onnx
import pytest
from networks import normal
from valued_networks import network, value_of

from onnx_snn.cli import terminal
from onnx_snn.cli.main import main
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model, weight_files

NOBODY = 65534

# --- writers at once ----------------------------------------------------------------------------


def write_at_once(writers: dict[str, Callable[[], None]]) -> None:
    """Run all `writers` in threads, by name, until each has ended."""
    threads = [threading.Thread(target=writer, name=name) for name, writer in writers.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def two(tmp_path: Path) -> dict[str, Path]:
    """Two networks, of values 1 and 2."""
    paths = {"first": tmp_path / "a.onnx", "second": tmp_path / "b.onnx"}
    for path, value in zip(paths.values(), (1.0, 2.0), strict=True):
        network(path, value)
    return paths


def test_weights_that_no_graph_reads_yet_are_not_removed_by_another_writer(
    two: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second writer begins and, if it can, ends while the first one has only its weights in place."""
    output, replace = tmp_path / "out" / "snn.onnx", Path.replace
    output.parent.mkdir()
    placed, ended = threading.Event(), threading.Event()

    def watched(path: Path, target: Path) -> Path:
        result = replace(path, target)
        if path.suffix == ".weights" and threading.current_thread().name == "first":
            placed.set()
            ended.wait(0.2)
        return result

    def first() -> None:
        save_model(load_model(two["first"]), output, external_data=True)

    def second() -> None:
        placed.wait()
        save_model(load_model(two["second"]), output, external_data=True)
        ended.set()

    monkeypatch.setattr(Path, "replace", watched)
    write_at_once({"first": first, "second": second})
    assert value_of(output) in (1.0, 2.0)
    assert len(weight_files(output)) == 1


@pytest.mark.parametrize("external_data", [False, True])
def test_of_writers_at_once_one_is_left_whole(two: dict[str, Path], external_data: bool, tmp_path: Path) -> None:
    output = tmp_path / "out" / "snn.onnx"
    output.parent.mkdir()

    def writer(path: Path) -> Callable[[], None]:
        def write() -> None:
            model = load_model(path)
            for _ in range(20):
                save_model(model, output, external_data=external_data)

        return write

    write_at_once({name: writer(path) for name, path in two.items()})
    assert value_of(output) in (1.0, 2.0)
    assert len(list(output.parent.iterdir())) == 1 + int(external_data)


# --- commands -----------------------------------------------------------------------------------


@pytest.fixture
def folder() -> Iterator[Path]:
    """A model, data and a former result, in a folder that every user can read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        onnx.save(networks.classifier(), folder / "model.onnx")
        np.savez(folder / "data.npz", x=normal(8, 8))
        (folder / "out").mkdir()
        (folder / "out" / "snn.onnx").write_text("before")
        yield folder


COMMAND = ("convert", "-m", "model.onnx", "-c", "data.npz", "-o", "out/snn.onnx", "--fast", "-T", "4", "-q")


def assert_one_line(folder: Path, status: int, said: str, expected: str) -> None:
    """The command failed with one line, and left the folder as it was."""
    assert status == terminal.FAILED
    assert said.startswith("onnx-snn: error: ")
    assert expected in said
    assert said.count("\n") == 1
    assert {path.name for path in (folder / "out").iterdir()} == {"snn.onnx"}
    assert (folder / "out" / "snn.onnx").read_text() == "before"


def test_a_full_disk_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        status = main(COMMAND)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_one_line(folder, status, capsys.readouterr().err, "cannot write 'out/snn.onnx': [Errno 27]")


@contextmanager
def another_user() -> Iterator[None]:
    """Without the rights of a superuser, whom permissions do not bind."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_folder_that_is_read_only_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (folder / "out").chmod(0o555)
    with another_user():
        status = main(COMMAND)
    (folder / "out").chmod(0o755)
    assert_one_line(folder, status, capsys.readouterr().err, "is not writable")


def test_a_file_that_must_not_be_read_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (folder / "model.onnx").chmod(0o000)
    (folder / "out").chmod(0o777)
    (folder / "out" / "snn.onnx").chmod(0o666)
    with another_user():
        status = main(COMMAND)
    assert_one_line(folder, status, capsys.readouterr().err, "'model.onnx' cannot be read: [Errno 13]")


def test_memory_that_runs_out_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 96.0 KiB")

    monkeypatch.chdir(folder)
    monkeypatch.setattr("onnx_snn.calibration.signed_histogram.SignedHistogram.add", fail)
    said = "memory ran out (Unable to allocate 96.0 KiB); use a smaller --batch-size"
    assert_one_line(folder, main(COMMAND), capsys.readouterr().err, said)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_a_limit_of_memory_ends_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data of 128 MiB, where half of it may be taken."""
    monkeypatch.chdir(folder)
    content = io.BytesIO()
    np.lib.format.write_array(content, np.zeros((2**22, 8), np.float32))
    with zipfile.ZipFile(folder / "data.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x.npy", content.getbuffer())
    del content
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, hard))
    try:
        status = main(COMMAND)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert_one_line(folder, status, capsys.readouterr().err, "Unable to allocate 128. MiB")

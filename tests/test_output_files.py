# SPDX-License-Identifier: Apache-2.0
"""Every file that the package writes is written whole, or what was there before stays."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx_ir as ir
import pytest
from graphs import graph

from onnx_snn import ConversionReport, ConvertConfig, OutputError, Profile
from onnx_snn.calibration.cache import CacheKey, save_cache
from onnx_snn.calibration.statistics import Calibration
from onnx_snn.graph.model_folder import copy_sidecars
from onnx_snn.graph.model_writer import save_model
from onnx_snn.output_files import staged, write_json, write_text
from onnx_snn.profiling.energy_report import EnergyReport
from onnx_snn.reporting.charts import page
from onnx_snn.reporting.charts.chart import Axis, Chart, Line, Panel
from onnx_snn.reporting.charts.image import write_charts

OLD = "what was there before"
LIMIT = 64
"""Bytes that fit onto the full disk: a part of every file."""

REPORT = ConversionReport("model.onnx", "spiking.onnx", ConvertConfig(), ())
PROFILE = Profile("model.onnx", 1, 1, (), (), EnergyReport(()))
CHART = Chart("chart", "", "", (Panel(Axis(""), Axis(""), (Line(np.arange(2.0), np.arange(2.0), "", "#000000"),)),))


@contextmanager
def full_disk() -> Iterator[None]:
    """No file grows beyond `LIMIT` bytes: writing more is an OSError, after a part has been written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def model() -> ir.Model:
    return graph("y = Mul (x, w)", initializers="float[8] w = {1, 2, 3, 4, 5, 6, 7, 8}")


def save_page(path: Path) -> None:
    page.write_html(cast("Any", None), path)


WRITERS: dict[str, Callable[[Path], Any]] = {
    "report.json": REPORT.save,
    "profile.json": PROFILE.save,
    "settings.json": lambda path: write_json(path, ConvertConfig().to_json()),
    "page.html": save_page,
    "chart.png": lambda path: write_charts([CHART], path.parent),
    "cache.npz": lambda path: save_cache(Calibration(), path, CacheKey("model", "data")),
    "spiking.onnx": lambda path: save_model(model(), path),
    "external.onnx": lambda path: save_model(model(), path, external_data=True),
    "tokenizer.json": lambda path: copy_sidecars(path.parent / "source", path.parent),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "page", lambda _: "x" * 2 * LIMIT)
    write_charts([CHART], tmp_path)  # what matplotlib caches on disk is there then
    (tmp_path / "chart.png").unlink()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "tokenizer.json").write_bytes(bytes(2 * LIMIT))
    (tmp_path / name).write_text(OLD)
    with pytest.raises(OutputError, match=rf"cannot write '.*{name}': .*"), full_disk():
        WRITERS[name](tmp_path / name)
    assert (tmp_path / name).read_text() == OLD
    assert {path.name for path in tmp_path.iterdir()} == {"source", name}


def test_staging_ends_in_a_rename_or_in_nothing(tmp_path: Path) -> None:
    with staged(tmp_path / "file") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").read_text() == "whole"


def test_an_interrupted_staging_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with staged(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    (tmp_path / "file").write_text("whole")
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert {path.name for path in tmp_path.iterdir()} == {"file"}
    assert (tmp_path / "file").read_text() == "whole"


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder"):
        with pytest.raises(OutputError, match="is not a regular file"):
            write_text(path, "text")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "folder").is_dir()


def test_text_goes_to_the_file_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(OLD)
    (tmp_path / "link").symlink_to("file")
    write_text(tmp_path / "link", "µ")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == "µ".encode()


def test_numbers_that_json_does_not_have_leave_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(OLD)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file", {"loss": float("nan")})
    assert (tmp_path / "file").read_text() == OLD


@pytest.mark.slow
def test_what_a_killed_process_left_is_removed_by_the_next_one_and_what_another_one_uses_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a [1].json"
    program = """
import sys, time
from pathlib import Path
from onnx_snn.output_files import staged
with staged(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(600)
"""
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(list(tmp_path.iterdir())) == 1
        write_text(path, "whole")
        assert len(list(tmp_path.iterdir())) == 2, "the other process still writes"
        process.kill()
    write_text(path, "whole again")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "whole again"


@pytest.mark.parametrize("system", ["no locks at all", "a file system without locks"])
def test_without_locks_files_are_written_and_folders_of_others_are_left(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if system == "no locks at all":
        monkeypatch.setattr("onnx_snn.output_files.fcntl", None)
    else:
        monkeypatch.setattr("onnx_snn.output_files.fcntl.flock", refused)
    path = tmp_path / "new.json"
    with staged(path) as first:
        first.write_text("first")
        write_text(path, "second")
        assert first.read_text() == "first"
    assert path.read_text() == "first"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]

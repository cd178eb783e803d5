# SPDX-License-Identifier: Apache-2.0
"""The fuzzers on a few cases; `make fuzz` runs many."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import converter, graphs, kernels, race, readers

from onnx_snn.runtime.session import get_library_path


def test_damaged_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert converter.main(["--cases", "300"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("by", [kernels.KERNELS, *kernels.BODIES])
def test_random_nodes(by: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert kernels.main(["--here", by, "--cases", "120"]) == 0, capsys.readouterr().out


@pytest.mark.slow
def test_instruction_sets_run_in_processes_of_their_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kernels, "INSTRUCTION_SETS", ("baseline", "none"))
    monkeypatch.setattr(kernels, "BODIES", {})
    assert kernels.main(["--cases", "20"]) == 0
    said = capsys.readouterr().out
    assert "baseline: 20 equal" in said
    assert "none: skipped" in said


def test_damaged_files_of_each_reader(capsys: pytest.CaptureFixture[str]) -> None:
    assert readers.main(["--cases", "60"]) == 0, capsys.readouterr().out


def test_a_foreign_error_of_a_reader_is_found(tmp_path: Path) -> None:
    def fail(_: object) -> None:
        raise KeyError("foreign")

    found = readers.outcome(readers.Reader(b"content", fail, (ValueError,)), 0, tmp_path / "file")
    assert found.startswith("FOREIGN: KeyError in test_fuzz.py")


def test_mutated_nodes_are_run_or_refused() -> None:
    """Without a sanitizer, which `make fuzz` loads; onnxruntime's own errors are all that may come."""
    library = str(get_library_path())
    assert {graphs.outcome(library, seed) for seed in range(60)} == {"run", "refused", "refused when run"}


REPORT = """
WARNING: ThreadSanitizer: data race (pid=1)
  Write of size 8 at 0x7b08 by thread T3:
    #0 operator delete(void*, unsigned long) tsan_new_delete.cpp:150 (libtsan.so.2+0x86c3d)
    #1 {access} (+0x151ad11)

  Previous write of size 8 at 0x7b08 by thread T6:
    #0 operator new(unsigned long) tsan_new_delete.cpp:64 (libtsan.so.2+0x87323)
    #1 <null> <null> (onnxruntime.so+0x151ad54)
    #2 compute control_ops.cc:36 (kernels.so+0x3512)
"""


@pytest.mark.parametrize("access", ["onnxruntime.so", "kernels.so"])
def test_a_race_is_of_the_library_that_makes_an_access(access: str) -> None:
    report = REPORT.replace("{access} (", f"<null> <null> ({access}")
    assert race.is_of(Path("kernels.so"), report) == (access == "kernels.so")


def test_a_foreign_error_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("foreign")

    monkeypatch.setattr("onnx_snn.convert", fail)
    assert converter.main(["--cases", "1"]) == 1
    assert "FOREIGN: KeyError" in capsys.readouterr().out


def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(kernels, "differs", lambda *_: True)
    assert kernels.main(["--here", "kernels", "--cases", "1", "--first", "1"]) == 1
    assert "seed 1 differs" in capsys.readouterr().out

# SPDX-License-Identifier: Apache-2.0
"""The fuzzers on a few cases; `make fuzz` runs many."""

from __future__ import annotations

import pytest
from fuzz import converter, kernels


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

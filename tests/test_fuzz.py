# SPDX-License-Identifier: Apache-2.0
"""The fuzzers on a few cases; `make fuzz` runs many."""

from __future__ import annotations

import pytest
from fuzz import converter, kernels


def test_damaged_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert converter.main(["--cases", "300"]) == 0, capsys.readouterr().out


@pytest.mark.slow
def test_random_kernels_by_every_instruction_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert kernels.main(["--cases", "300"]) == 0, capsys.readouterr().out


def test_a_foreign_error_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("foreign")

    monkeypatch.setattr("onnx_snn.convert", fail)
    assert converter.main(["--cases", "1"]) == 1
    assert "FOREIGN: KeyError" in capsys.readouterr().out


def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(kernels, "differs", lambda _: True)
    assert kernels.main(["--here", "--cases", "1", "--first", "1"]) == 1
    assert "seed 1 differs" in capsys.readouterr().out

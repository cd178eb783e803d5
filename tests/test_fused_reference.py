# SPDX-License-Identifier: Apache-2.0
"""The note on what fused kernels of integers do to the outputs of an original."""

from __future__ import annotations

from pathlib import Path

import networks
import onnx
import onnx_ir as ir
import pytest
from networks import run, tokens
from onnxruntime.quantization import quantize_dynamic

from onnx_snn.conversion import fused_reference
from onnx_snn.conversion.fused_reference import reference_note
from onnx_snn.runtime.execution import run as run_session
from onnx_snn.runtime.tap_session import optimized_session


@pytest.fixture
def dynamic(tmp_path: Path) -> onnx.ModelProto:
    onnx.save(networks.transformer(), tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "model.onnx")
    return onnx.load(tmp_path / "model.onnx")


def test_a_difference_is_named_with_its_output(dynamic: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_reference, "NOTICEABLE", -1.0)  # below any difference
    note = reference_note(ir.from_proto(dynamic), [tokens()])
    assert note is not None
    assert "without fused kernels of integers" in note
    assert "'logits' differs by" in note


def test_networks_of_floats_and_small_differences_have_no_note(
    dynamic: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused_reference, "NOTICEABLE", 10.0)
    assert reference_note(ir.from_proto(dynamic), [tokens()]) is None
    monkeypatch.setattr(fused_reference, "NOTICEABLE", -1.0)
    assert reference_note(ir.from_proto(networks.transformer()), [tokens()]) is None


def test_the_fused_reference_is_what_users_run(dynamic: onnx.ModelProto) -> None:
    found = run_session(optimized_session(ir.from_proto(dynamic)), ["logits"], tokens())["logits"]
    assert (found == run(dynamic, tokens())["logits"]).all()

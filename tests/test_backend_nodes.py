# SPDX-License-Identifier: Apache-2.0
"""Some node tests of ONNX, of operators and types that are easily forgotten; benchmarks/backend_nodes.py runs all."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import backend_nodes
from backend_nodes import CONVERTED, CRASHED, LARGE_ERROR, LINEAR, REFUSED, Result

MODULES = {
    "affinegrid": ["test_affine_grid_2d_expanded"],
    "ai_onnx_ml.binarizer": ["test_ai_onnx_ml_binarizer"],
    "ai_onnx_ml.label_encoder": ["test_ai_onnx_ml_label_encoder_string_int"],
    "exp": ["test_exp", "test_exp_example"],
    "qlinearmatmul": ["test_qlinearmatmul_2D_int8_float16"],
    "reduce_log_sum_exp": [
        "test_reduce_log_sum_exp_default_axes_keepdims_example_expanded",
        "test_reduce_log_sum_exp_do_not_keepdims_random_expanded",
        "test_reduce_log_sum_exp_keepdims_random_expanded",
        "test_reduce_log_sum_exp_negative_axes_keepdims_example_expanded",
    ],
    "scan": ["test_scan_sum", "test_scan9_multi_state"],
    "softmax": [
        "test_softmax_axis_0",
        "test_softmax_axis_1_expanded",
        "test_softmax_large_number",
        "test_softmax_negative_axis_expanded_ver18",
    ],
    "sequence_map": ["test_sequence_map_add_1_sequence_1_tensor"],
    "splittosequence": ["test_split_to_sequence_1"],
    "tanh": ["test_tanh"],
}
"""Modules of `onnx.backend.test.case.node`, with some of their tests."""

OUTCOMES = {
    "test_ai_onnx_ml_binarizer": {REFUSED},
    "test_ai_onnx_ml_label_encoder_string_int": {LINEAR},
    "test_scan_sum": {LINEAR},
    "test_sequence_map_add_1_sequence_1_tensor": {backend_nodes.UNRUNNABLE},
    "test_split_to_sequence_1": {LINEAR},
}
"""What becomes of the tests that are not converted."""


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    from onnx.backend.test.case.node import _NodeTestCases

    with np.errstate(all="ignore"):
        for module in MODULES:
            importlib.import_module(f"onnx.backend.test.case.node.{module}")
    return {case.name: case for case in _NodeTestCases}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for names in MODULES.values() for name in names])
def test_no_node_test_ends_in_an_error_of_ours(name: str, cases: dict[str, Any], tmp_path: Path) -> None:
    result = backend_nodes.attempt(cases[name], tmp_path)
    assert result.outcome in OUTCOMES.get(name, {CONVERTED}), result.reason
    if result.outcome == CONVERTED:
        assert result.equal
        assert result.error is not None
        assert result.error <= LARGE_ERROR


def test_what_onnx_snn_did_not_foresee_is_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise TypeError("oh")

    monkeypatch.setattr(backend_nodes.onnx_snn, "convert", fail)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Tanh", ["x"], ["y"])],
        "g",
        [value("x", onnx.TensorProto.FLOAT, [2])],
        [value("y", onnx.TensorProto.FLOAT, [2])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    case = type("Case", (), {"model": model, "data_sets": [([np.ones(2, np.float32)], [])]})
    assert backend_nodes.attempt(case, tmp_path) == Result("Tanh", CRASHED, "TypeError: oh")


def test_the_page_counts_outcomes_and_lists_what_is_wrong() -> None:
    results = {
        "good": Result("Tanh", CONVERTED, "", True, 1e-3),
        "unequal": Result("Tanh", CONVERTED, "", False, 1e-3),
        "far": Result("Exp", CONVERTED, "", True, 0.5),
        "log": Result("Log", REFUSED, "y: no rule matches Log here"),
        "log_again": Result("Log", REFUSED, "y: no rule"),
    }
    page = backend_nodes.page(results)
    assert "Of the 3 converted ones 2 have equal bits" in page
    assert "## Unequal bits" in page
    assert "far   5.0e-01" in page
    assert "Log       2      y: no rule matches Log here" in page
    assert "## Crashes" not in page

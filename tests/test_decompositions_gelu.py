# SPDX-License-Identifier: Apache-2.0
"""GELU, SiLU and Swish of onnxruntime, written out, compute what onnxruntime computes for them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from fused_operators import BIAS, NEWEST, OPSETS, TOLERANCE, X, assert_same, kinds, model, run, written_out

from onnx_snn.decompositions.decomposer import decompose
from onnx_snn.rules import Kind, recognise


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("body", "function"),
    [
        ("y = com.microsoft.BiasGelu (x, b)", "gelu"),
        ("y = com.microsoft.FastGelu (x, b)", "gelu_tanh"),
        ("y = com.microsoft.QuickGelu <alpha = 1.0> (x)", "silu"),
    ],
)
def test_a_fused_activation_is_one_function(body: str, function: str, opset: int) -> None:
    feeds = {"x": X, "b": BIAS} if "b)" in body else {"x": X}
    # The kernel of FastGelu approximates tanh.
    apart = assert_same(body, feeds, opset=opset, atol=1e-5)
    assert [site.function for site in recognise(apart).sites] == [function]


@pytest.mark.parametrize(
    ("body", "opset"), [("y = com.microsoft.QuickGelu <alpha = 1.3> (x)", 17), ("y = Swish <alpha = 1.3> (x)", 24)]
)
def test_a_gate_of_any_slope_is_a_sigmoid_and_a_product(body: str, opset: int) -> None:
    assert kinds(assert_same(body, {"x": X}, opset=opset)) == [Kind.FUNCTION, Kind.PRODUCT]


@pytest.mark.parametrize(
    ("body", "opset"),
    [
        ("y = com.microsoft.Gelu (x)", 13),
        ("y = com.microsoft.FastGelu (x)", 13),
        ("y = com.microsoft.QuickGelu (x)", 13),
        ("y = Gelu (x)", 20),
        ("y = Swish (x)", 24),
        ("y = Swish <alpha = 1.702> (x)", 24),
    ],
)
def test_what_a_rule_knows_stays_in_one_piece(body: str, opset: int) -> None:
    apart = ir.from_proto(model(body, {"x": X}, opset=opset))
    assert not decompose(apart).origins
    assert kinds(apart) == [Kind.FUNCTION]


@pytest.mark.parametrize(("attributes", "function"), [("", "silu"), ("<alpha = 1.702>", "gelu_quick")])
def test_what_onnxruntime_cannot_run_is_written_out(attributes: str, function: str) -> None:
    apart = written_out(model(f"y = Swish {attributes} (x)", {"x": X}, opset=NEWEST))
    assert [site.function for site in recognise(apart).sites] == [function]
    alpha = 1.702 if attributes else 1.0
    np.testing.assert_allclose(run(apart, {"x": X})["y"], X / (1 + np.exp(-alpha * X)), **TOLERANCE)

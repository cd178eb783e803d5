# SPDX-License-Identifier: Apache-2.0
"""Operators that compute a function of the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import functions, graph

import onnx_snn
from onnx_snn.neurons import functions as registry


@pytest.fixture
def cardinal_sine() -> Iterator[None]:
    """The cardinal sine, registered for one test."""
    onnx_snn.register(onnx_snn.ScalarFunction("sinc", np.sinc, domain=(-4.0, 4.0)))
    yield
    del registry._registry["sinc"]


@pytest.mark.usefixtures("cardinal_sine")
def test_an_operator_of_a_registered_name_is_found() -> None:
    assert functions(graph("y = acme.Sinc(x)")) == ["sinc"]


def test_without_registration_it_is_not() -> None:
    assert functions(graph("y = acme.Sinc(x)")) == []


@pytest.mark.parametrize("body", ["y = acme.Cosc(x)", "c = Cast <to = 1> (mask) s = Sin(c) h = Relu(x) y = Mul(h, s)"])
@pytest.mark.usefixtures("cardinal_sine")
def test_other_operators_and_masks_stay(body: str) -> None:
    inputs = "float[N,4,8] x, int64[N,4,8] mask"
    assert functions(graph(body, inputs=inputs)) == ["relu"] * body.count("Relu")


@pytest.mark.slow
@pytest.mark.usefixtures("cardinal_sine")
def test_a_function_of_the_model_is_converted_by_its_name(tmp_path: Path) -> None:
    """A user's operator, defined as a function of the model, becomes one neuron."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "acme" : 1]>
        network (float[N, 8] x) => (float[N, 8] y) { y = acme.Sinc (x) }
        <domain: "acme", opset_import: ["" : 17]> Sinc (x) => (y)
        { p = Constant <value = float {3.14159265}> () a = Mul (x, p) s = Sin (a) y = Div (s, a) }"""
    )
    x = np.random.default_rng(3).uniform(-4, 4, (64, 8)).astype(np.float32)
    report = onnx_snn.convert(model, tmp_path / "snn.onnx", {"x": x}, progress=False, fast=True)
    assert [node.function for node in report.nodes] == ["sinc"]
    (y,) = onnx_snn.session(tmp_path / "snn.onnx").run(None, {"x": x})
    np.testing.assert_allclose(y, np.sinc(x), atol=0.02)
    assert "Sin" not in {node.op_type for node in ir.load(tmp_path / "snn.onnx").graph}

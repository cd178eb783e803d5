# SPDX-License-Identifier: Apache-2.0
"""Operators that are written out where no rule claims them, and what conversions make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from conversions import converted
from graphs import graph
from networks import normal, relative_error, run

import onnx_snn
from onnx_snn import ConvertConfig, Status
from onnx_snn.conversion.examination import examine
from onnx_snn.conversion.stopwatch import Stopwatch

X = normal(8, 4, 6, 5, seed=3)
SCALES = "float[4] scale = {1,2,3,4}, float[4] shift = {4,3,2,1}, float[2] halves = {1,2}"
SHAPE = "float[N,4,6,5]"
SUM = "float[N,4,1,1]"

WRITTEN = {
    "Div": ("a = Abs (x) b = Add (a, one) y = Div (x, b)", 20, SHAPE),
    "Div by the same": ("e = Exp (x) y = Div (e, e)", 20, SHAPE),
    "constant by": ("a = Abs (x) b = Add (a, one) y = Div (three, b)", 20, SHAPE),
    "Pow of a constant": ("y = Pow (three, x)", 20, SHAPE),
    "PRelu": ("y = PRelu (x, slopes)", 20, SHAPE),
    "ThresholdedRelu": ("y = ThresholdedRelu <alpha = 0.5> (x)", 22, SHAPE),
    "Shrink": ("y = Shrink <bias = 0.25, lambd = 0.75> (x)", 20, SHAPE),
    "ReduceL1": ("y = ReduceL1 (x, axes)", 20, SUM),
    "ReduceL1 by attribute": ("y = ReduceL1 <axes = [2, 3]> (x)", 17, SUM),
    "ReduceL2": ("y = ReduceL2 <keepdims = 0> (x, axes)", 20, "float[N,4]"),
    "ReduceSumSquare": ("y = ReduceSumSquare (x, axes)", 20, SUM),
    "ReduceLogSum": ("a = Abs (x) y = ReduceLogSum (a, axes)", 20, SUM),
    "ReduceLogSumExp": ("y = ReduceLogSumExp <keepdims = 0> (x, axes)", 20, "float[N,4]"),
    "ReduceLogSumExp by attribute": ("y = ReduceLogSumExp <axes = [-1]> (x)", 17, "float[N,4,6,1]"),
    "LogSoftmax": ("y = LogSoftmax <axis = 1> (x)", 20, SHAPE),
    "LogSoftmax of an older opset": ("y = LogSoftmax (x)", 17, SHAPE),
    "InstanceNormalization": ("y = InstanceNormalization (x, scale, shift)", 17, SHAPE),
    "GroupNormalization": ("y = GroupNormalization <num_groups = 2> (x, scale, shift)", 21, SHAPE),
    "GroupNormalization by group": ("y = GroupNormalization <num_groups = 2> (x, halves, halves)", 20, SHAPE),
    "MeanVarianceNormalization": ("y = MeanVarianceNormalization (x)", 20, SHAPE),
    "LpNormalization": ("y = LpNormalization <axis = 1> (x)", 22, SHAPE),
    "LpNormalization of order 1": ("y = LpNormalization <axis = -1, p = 1> (x)", 22, SHAPE),
    "LpPool": ("y = LpPool <kernel_shape = [2, 3], strides = [2, 1]> (x)", 22, "float[N,4,3,3]"),
    "LpPool of order 3": ("y = LpPool <kernel_shape = [2, 3], p = 3> (x)", 22, "float[N,4,5,3]"),
    "GlobalLpPool": ("y = GlobalLpPool (x)", 20, SUM),
    "LRN": ("y = LRN <size = 3, alpha = 0.5> (x)", 20, SHAPE),
}
"""Text, opset and output of a node of each kind."""


def network(body: str, opset: int, shape: str) -> ir.Model:
    slopes = "float[4,1,1] slopes = {0.1, 0.2, 0.3, 0.4}, int64[2] axes = {2, 3}"
    return graph(body, inputs=f"{SHAPE} x", outputs=f"{shape} y", initializers=f"{SCALES}, {slopes}", opset=opset)


def examined(model: ir.Model) -> ir.Model:
    return examine(model, "network", ConvertConfig(), Stopwatch()).model


@pytest.mark.parametrize(("body", "opset", "shape"), WRITTEN.values(), ids=WRITTEN.keys())
def test_what_is_written_out_computes_the_same(body: str, opset: int, shape: str) -> None:
    model = network(body, opset, shape)
    apart = examined(model)
    assert {node.op_type for node in apart.graph} != {node.op_type for node in model.graph}
    expected = run(model, {"x": X})["y"]
    np.testing.assert_allclose(run(apart, {"x": X})["y"], expected, rtol=2e-5, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("body", "opset", "shape"), WRITTEN.values(), ids=WRITTEN.keys())
def test_conversion_stays_close_with_and_without_kernels(body: str, opset: int, shape: str, tmp_path: Path) -> None:
    model = network(body, opset, shape)
    path, report = converted(model, tmp_path, {"x": X})
    assert any(node.status is Status.CONVERTED for node in report.nodes)
    feeds = {"x": normal(3, 4, 6, 5, seed=4)}
    (y,) = onnx_snn.session(path).run(None, feeds)
    (plain,) = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)
    assert np.array_equal(y.view(np.uint32), plain.view(np.uint32))
    assert relative_error(run(model, feeds)["y"], y) < 0.01


@pytest.mark.parametrize(
    "body",
    [
        "s = Shape (x) f = Cast <to = 1> (s) r = ReduceL2 (f) y = Div (x, r)",
        "m = Softmax (x) y = Identity (m)",
        "e = Exp (x) s = ReduceSum (e, last) y = Div (e, s)",
        "y = LayerNormalization (x, gamma, beta)",
    ],
)
def test_what_needs_no_decomposition_stays(body: str) -> None:
    model = graph(f"{body} z = Tanh (y)", outputs="float[N,4,8] z")
    assert [node.op_type for node in examined(model).graph] == [node.op_type for node in model.graph]


@pytest.mark.slow
def test_layer_normalization_returns_its_statistics(tmp_path: Path) -> None:
    body = "y, mean, inverse = LayerNormalization <axis = 2> (x, w, w)"
    ones = ",".join(str(1 + i % 3) for i in range(30))
    outputs = f"{SHAPE} y, float[N,4,1,1] mean, float[N,4,1,1] inverse"
    weight = f"float[6,5] w = {{{ones}}}"
    model = graph(body, inputs=f"{SHAPE} x", outputs=outputs, initializers=weight, opset=17)
    expected, apart = run(model, {"x": X}), run(examined(model), {"x": X})
    path, _ = converted(model, tmp_path, {"x": X})
    for name, spiking in zip(("y", "mean", "inverse"), onnx_snn.session(path).run(None, {"x": X}), strict=True):
        np.testing.assert_allclose(apart[name], expected[name], rtol=1e-5, atol=1e-5)
        assert relative_error(expected[name], spiking) < 0.01


@pytest.mark.slow
def test_every_neuron_of_a_quotient_can_be_left_out(tmp_path: Path) -> None:
    model = graph("a = Abs (x) b = Add (a, one) y = Div (x, b)")
    ir.save(model, tmp_path / "model.onnx")
    feeds = {"x": normal(8, 4, 8)}
    path, report = converted(model, tmp_path, feeds)
    found = onnx_snn.sensitivity(tmp_path / "model.onnx", path, feeds, progress=False)
    assert {node.name for node in report.nodes} == {"a", "y/Reciprocal", "y/Mul"}
    assert {"a", "y/Reciprocal"} <= {node.name for node in found.nodes}


@pytest.mark.parametrize("body", ["y = Pow (x, x)", "y = Pow (gamma, x)", "y = Pow (minushalf, x)"])
def test_powers_without_one_constant_are_reported(body: str) -> None:
    found = examine(graph(f"{body} z = Gelu (x)", outputs="float[N,4,8] z"), "network", ConvertConfig(), Stopwatch())
    assert [reason for _, reason in found.coverage.recognition.unmatched] == [
        "computes a power of which neither base nor exponent is one constant number"
    ]


def test_zeros_have_a_norm_of_zero(tmp_path: Path) -> None:
    model = network("y = LpNormalization <axis = 1> (x)", 22, SHAPE)
    path, _ = converted(model, tmp_path, {"x": X})
    zeros: Any = {"x": np.zeros_like(X)}
    assert not onnx_snn.session(path).run(None, zeros)[0].any()


@pytest.mark.parametrize("threshold", [-0.5, 0.5])
def test_a_value_at_the_threshold_is_not_above_it(threshold: float, tmp_path: Path) -> None:
    model = graph(f"y = ThresholdedRelu <alpha = {threshold}> (x)", opset=22)
    x = np.random.default_rng(0).choice(np.array([-0.5, 0.25, 0.5, 1.0], np.float32), (8, 4, 8))
    path, report = converted(model, tmp_path, {"x": x})
    assert relative_error(run(model, {"x": x})["y"], onnx_snn.session(path).run(None, {"x": x})[0]) < 1e-3
    assert {node.status for node in report.nodes} == {Status.CONVERTED}


@pytest.mark.parametrize("size", ["4", "N"])
def test_norms_over_other_axes_are_converted(size: str, tmp_path: Path) -> None:
    body = (
        "m = ReduceMean (x, axes) d = Sub (x, m) p = Mul (d, d) v = ReduceMean (p, axes) w = Add (v, eps) "
        "s = Sqrt (w) y = Div (d, s)"
    )
    shape = f"float[B,{size},6,5]"
    for axes in ("int64[1] axes = {1}", "int64[2] axes = {1, 3}"):
        model = graph(body, inputs=f"{shape} x", outputs=f"{shape} y", initializers=axes)
        path, report = converted(model, tmp_path, {"x": X})
        assert [(node.kind, node.status) for node in report.nodes] == [("layer_norm", Status.CONVERTED)]
        assert relative_error(run(model, {"x": X})["y"], onnx_snn.session(path).run(None, {"x": X})[0]) < 5e-3


def test_a_convolution_of_two_activations_is_a_product(tmp_path: Path) -> None:
    body = "y = Conv (x, k)"
    model = graph(body, inputs="float[1,2,6,6] x, float[3,2,3,3] k", outputs="float[1,3,4,4] y")
    feeds = {"x": normal(1, 2, 6, 6), "k": normal(3, 2, 3, 3, seed=1)}
    path, report = converted(model, tmp_path, [feeds])
    assert [node.kind for node in report.nodes] == ["product"]
    assert relative_error(run(model, feeds)["y"], onnx_snn.session(path).run(None, feeds)[0]) < 5e-3

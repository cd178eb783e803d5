# SPDX-License-Identifier: Apache-2.0
"""Networks of float64: neurons compute in float32 between casts, as in networks of float16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from both_runtimes import checked_conversion
from conversions import statuses
from graphs import graph
from networks import normal

import onnx_snn
from onnx_snn import Status
from onnx_snn.conversion.report import NodeReport

DOUBLE = "double[8,8] weight = {" + ", ".join(str((i % 9 - 4) / 9) for i in range(64)) + "}"
VECTORS = "double[8] scale = {1,2,3,4,5,6,7,8}, double[8] shift = {1,2,3,4,5,6,7,8}"
WIDE = {"inputs": "double[N,4,8] x", "outputs": "double[N,4,8] y", "initializers": f"{DOUBLE}, {VECTORS}"}
X = [{"x": normal(4, 4, 8, seed=seed).astype(np.float64)} for seed in range(4)]
NARROW = [{"x": feed["x"].astype(np.float32)} for feed in X]

BODIES = {
    "function": "y = Tanh (x)",
    "weights": "m = MatMul (x, weight) y = Sigmoid (m)",
    "softmax": "y = Softmax <axis = -1> (x)",
    "softmax over another axis": "y = Softmax <axis = 1> (x)",
    "layer normalization": "y = LayerNormalization <axis = -1> (x, scale, shift)",
    "product": "t = Transpose <perm = [0, 2, 1]> (x) u = MatMul (x, t) y = MatMul (u, x)",
}
ISLANDS = {
    "casts": "d = Cast <to = 11> (x) e = Tanh (d) c = Cast <to = 1> (e) y = Sigmoid (c)",
    "function of a function": "d = Cast <to = 11> (x) e = Tanh (d) s = Sigmoid (e) y = Cast <to = 1> (s)",
    "product": "d = Cast <to = 11> (x) e = Tanh (d) p = Mul (e, d) y = Cast <to = 1> (p)",
    "cast like": "d = Cast <to = 11> (x) e = Exp (d) y = CastLike (e, x)",
}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"fast": False}], ids=["by rule", "chosen"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_float64_is_converted(body: str, options: dict[str, bool], tmp_path: Path) -> None:
    found = checked_conversion(graph(body, **WIDE), tmp_path, X, **options)
    assert set(statuses(found.report).values()) == {Status.CONVERTED}
    assert found.error < 0.02
    assert {node.cast_from for node in found.report.nodes} == {"float64"}
    assert f"converted nodes of float64: {len(found.report.nodes)}; their" in found.report.text()


@pytest.mark.slow
@pytest.mark.parametrize("body", ISLANDS.values(), ids=ISLANDS.keys())
@pytest.mark.parametrize("options", [{}, {"fast": False}], ids=["by rule", "chosen"])
def test_islands_of_float64_are_converted(body: str, options: dict[str, bool], tmp_path: Path) -> None:
    found = checked_conversion(graph(body), tmp_path, NARROW, **options)
    assert set(statuses(found.report).values()) == {Status.CONVERTED}
    assert found.error < 0.02


@pytest.mark.slow
def test_branches_without_declared_types_are_converted(tmp_path: Path) -> None:
    body = """y = If (c) <then_branch = t () => (double[N,4,8] a) { p = MatMul (x, weight) q = Tanh (p) a = Neg (q) },
                         else_branch = e () => (double[N,4,8] b) { r = Sigmoid (x) b = Neg (r) }>"""
    model = graph(body, **{**WIDE, "inputs": "double[N,4,8] x, bool[1] c"})
    feeds = [{**feed, "c": np.array([number % 2 == 0])} for number, feed in enumerate(X)]
    found = checked_conversion(model, tmp_path, feeds)
    assert set(statuses(found.report).values()) == {Status.CONVERTED}
    assert found.error < 0.02


def test_networks_of_float64_are_compared_and_profiled(tmp_path: Path) -> None:
    found = checked_conversion(graph(BODIES["weights"], **WIDE), tmp_path, X)
    assert onnx_snn.compare(found.original, found.spiking, X, progress=False).relative_error < 0.02
    profile = onnx_snn.profile(found.spiking, X, progress=False)
    assert profile.samples == 16
    (product,) = profile.products
    assert product.spiking
    ranking = onnx_snn.sensitivity(found.original, found.spiking, X, progress=False)
    assert {node.name for node in ranking.nodes} == {"x/code", "y"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_spikes_are_counted_behind_casts(dtype: type[np.floating[Any]], tmp_path: Path) -> None:
    name, number = {np.float32: ("float", 1), np.float64: ("double", 11), np.float16: ("float16", 10)}[dtype]
    model = graph(
        f"w = Cast <to = {number}> (weight) y = MatMul (x, w)",
        inputs=f"{name}[N,4,8] x",
        outputs=f"{name}[N,4,8] y",
        initializers=DOUBLE.replace("double", "float"),
    )
    data, path = [{"x": feed["x"].astype(dtype)} for feed in X], tmp_path / "spiking.onnx"
    onnx_snn.convert(model, path, data, fast=True, progress=False)
    profile = onnx_snn.profile(path, data, progress=False)
    (product,), (code,) = profile.products, profile.neurons
    assert [operand.neuron for operand in product.operands] == [code.node]
    assert product.synaptic_operations == 8 * code.total > 0


def test_values_beyond_float32_are_refused_alone(tmp_path: Path) -> None:
    body = "z = Mul (x, huge) t = Tanh (z) u = Tanh (x) y = Add (t, u)"
    found = checked_conversion(graph(body, **{**WIDE, "initializers": "double[1] huge = {1e200}"}), tmp_path, X)
    assert statuses(found.report) == {"t": Status.REFUSED, "u": Status.CONVERTED}


@pytest.mark.slow
def test_float32_is_not_cast(tmp_path: Path) -> None:
    found = checked_conversion(graph("y = Tanh (x)"), tmp_path, NARROW)
    assert [node.cast_from for node in found.report.nodes] == [""]
    assert "casts" not in found.report.text()
    assert NodeReport("y", "function").cast_from == ""
    assert "Cast" not in {node.op_type for node in ir.load(found.spiking).graph}

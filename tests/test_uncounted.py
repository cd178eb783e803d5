# SPDX-License-Identifier: Apache-2.0
"""What a profile does not count it names; where everything is counted it says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import graph
from networks import FULL_BASES, normal, tokens
from onnxruntime.quantization import quantize_dynamic
from onnxruntime_tools import quantized

import onnx_snn
from onnx_snn import Profile
from onnx_snn.profiling.uncounted import FUSED_ACTIVATION, SUBGRAPH, UNKNOWN


def profiled(model: Any, data: Any, folder: Path, **options: Any) -> Profile:
    path = folder / "spiking.onnx"
    onnx_snn.convert(model, path, data, progress=False, timesteps=4, **{"fast": True, **options})
    return onnx_snn.profile(path, data, progress=False)


def found(profile: Profile) -> set[tuple[str, str, str]]:
    return {(node.node, node.operator, node.reason) for node in profile.uncounted}


@pytest.mark.slow
def test_a_network_that_is_counted_whole(tmp_path: Path) -> None:
    profile = profiled(networks.transformer(), tokens(8), tmp_path)
    assert profile.uncounted == ()
    assert profile.to_json()["uncounted"] == []
    assert "not counted" not in profile.text()


@pytest.mark.slow
def test_networks_in_the_qdq_format_are_counted_whole(tmp_path: Path) -> None:
    """Products, and what quantization itself computes."""
    path = quantized(networks.transformer(), tmp_path, tokens())
    profile = profiled(path, tokens(8), tmp_path, **FULL_BASES)
    plain = profiled(networks.transformer(), tokens(8), tmp_path, **FULL_BASES)
    assert profile.uncounted == ()
    macs = {product.node: product.multiply_accumulates for product in profile.products}
    assert macs == {product.node: product.multiply_accumulates for product in plain.products}
    kinds = {node.kind: node.original.neurons for node in profile.energy.nodes}
    assert kinds["QuantizeLinear"].comparison > 0
    assert kinds["DequantizeLinear"].multiply > 0


def dynamically_quantized(folder: Path) -> Path:
    onnx.save(networks.transformer(), folder / "float.onnx")
    quantize_dynamic(folder / "float.onnx", folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.slow
def test_networks_that_are_quantized_as_they_run_are_counted_whole(tmp_path: Path) -> None:
    profile = profiled(dynamically_quantized(tmp_path), tokens(8), tmp_path, **FULL_BASES)
    assert profile.uncounted == ()
    assert {"DynamicQuantizeLinear", "DequantizeLinear"} <= {node.kind for node in profile.energy.nodes}


def test_products_of_whole_numbers_that_are_kept_are_named(tmp_path: Path) -> None:
    profile = profiled(dynamically_quantized(tmp_path), tokens(8), tmp_path, **FULL_BASES, include=["gelu"])
    nodes = [node for node in onnx.load(tmp_path / "spiking.onnx").graph.node if node.op_type == "MatMulInteger"]
    assert {(node.name, "MatMulInteger", UNKNOWN) for node in nodes} <= found(profile)
    assert {node.operator for node in profile.uncounted} == {"MatMulInteger"}
    assert len(nodes) > 4
    assert f"{len(nodes)} MatMulInteger (operator without known counts: {nodes[0].name}, " in " ".join(
        profile.text().split()
    )
    assert profile.to_json()["uncounted"][0].keys() == {"node", "operator", "reason"}


def test_branches_are_named_with_the_products_in_them(tmp_path: Path) -> None:
    body = """
        [outer] g = Sigmoid(x)
        total = ReduceSum<keepdims = 0>(x)
        positive = Greater(total, zero)
        y = If(positive) <
            then_branch = yes () => (float[N,4,4] a) {
                t = Transpose<perm = [0, 2, 1]>(g) [inner] a = MatMul(g, t)
            },
            else_branch = no () => (float[N,4,4] b) { [cut] b = Slice(g, start, end, axis) }>
    """
    constants = "int64[1] start = {0}, int64[1] end = {4}, int64[1] axis = {2}"
    model = graph(body, outputs="float[N,4,4] y", initializers=constants)
    profile = profiled(model, {"x": np.abs(normal(8, 4, 8))}, tmp_path, exclude="inner")
    assert ("inner", "MatMul", SUBGRAPH) in found(profile)
    assert {reason for _, _, reason in found(profile)} <= {SUBGRAPH, UNKNOWN}
    assert not {"Transpose", "Slice", "If"} & {operator for _, operator, _ in found(profile)}
    assert "inner" in profile.text()


def test_fused_operators_that_are_left_whole(tmp_path: Path) -> None:
    """Their products are counted; an activation function in one, and an attention, are not, and said so."""
    model = onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
        main (float[N, 4, 8] x) => (float[N, 4, 8] y) {
            [gelu] g = Gelu (x)
            [plain] p = com.microsoft.FusedMatMul <transB = 1, alpha = 0.5> (g, w)
            [attention] a = com.microsoft.Attention <num_heads = 2> (p, weight, bias)
            image = Unsqueeze (a, first)
            [conv] c = com.microsoft.FusedConv <activation = "Relu"> (image, kernel)
            y = Squeeze (c, first)
        }
    """
    )
    constants = {
        "weight": normal(8, 24),
        "bias": normal(24),
        "w": normal(8, 8),
        "kernel": normal(4, 4, 1, 1),
    }
    for name, array in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([3]), "first"))
    profile = profiled(model, {"x": normal(8, 4, 8)}, tmp_path, exclude=["plain", "attention", "conv"])
    macs = {product.node: product.multiply_accumulates for product in profile.products}
    assert macs == {"plain": 8 * 4 * 8 * 8, "conv": 8 * 4 * 4 * 8}
    assert found(profile) == {("attention", "Attention", UNKNOWN), ("conv", "FusedConv", FUSED_ACTIVATION)}


def test_tuning_and_the_report_name_them_too(tmp_path: Path) -> None:
    body = "[sum] c = CumSum(x, axis) [tanh] y = Tanh(c)"
    onnx.save(ir.to_proto(graph(body, initializers="int64 axis = {1}")), tmp_path / "model.onnx")
    files, x = (tmp_path / "model.onnx", tmp_path / "spiking.onnx"), {"x": normal(8, 4, 8)}
    tuned = onnx_snn.tune(*files, x, max_spikes=6.0, max_timesteps=3, progress=False)
    assert [node.node for node in tuned.uncounted] == ["sum"]
    survey = onnx_snn.survey(*files, x, progress=False)
    onnx_snn.write_html(survey, tmp_path / "report.html")
    line = "not counted in either network: 1 CumSum (operator without known counts: sum)"
    assert line in tuned.text()
    assert line in (tmp_path / "report.html").read_text()
    assert tuned.to_json()["uncounted"] == survey.spiking.profile.to_json()["uncounted"]


@pytest.mark.parametrize("body", ["n = Neg(x) y = Tanh(n)", "c = Cast<to = 10>(x) d = Cast<to = 1>(c) y = Tanh(d)"])
def test_signs_and_formats_cost_nothing(body: str, tmp_path: Path) -> None:
    assert profiled(ir.to_proto(graph(body)), {"x": normal(8, 4, 8)}, tmp_path).uncounted == ()


def test_other_operators_are_named(tmp_path: Path) -> None:
    profile = profiled(
        ir.to_proto(graph("[sum] c = CumSum(x, axis) y = Tanh(c)", initializers="int64 axis = {1}")),
        {"x": normal(8, 4, 8)},
        tmp_path,
    )
    assert found(profile) == {("sum", "CumSum", UNKNOWN)}

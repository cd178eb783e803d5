# SPDX-License-Identifier: Apache-2.0
"""Fused operators in a conversion: what is taken apart, what stays, and how it is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from conversions import statuses
from graphs import graph
from local_functions import WEIGHT, X, converted, network
from networks import normal, relative_error, run

import onnx_snn
from onnx_snn import Status
from onnx_snn.decompositions.decomposer import decompose

FUSED = """
    [bias] a = com.microsoft.BiasGelu (x, beta)
    [skip] y = com.microsoft.SkipLayerNormalization (a, x, gamma, beta)
"""


@pytest.mark.slow
def test_fused_operators_are_converted_and_named(tmp_path: Path) -> None:
    model = graph(FUSED)
    result, report = converted(model, tmp_path)
    assert statuses(report) == {"bias/Gelu": Status.CONVERTED, "skip/LayerNormalization": Status.CONVERTED}
    assert {node.domain for node in result.graph.node} == {"", "onnx_snn"}
    assert relative_error(run(model, X)["y"], run(result, X)["y"]) < 0.005


def test_an_excluded_fused_operator_stays_fused(tmp_path: Path) -> None:
    model = graph(FUSED)
    result, report = converted(model, tmp_path, exclude="skip")
    assert statuses(report) == {"bias/Gelu": Status.CONVERTED, "skip": Status.KEPT}
    assert ir.to_proto(model).graph.node[1] in list(result.graph.node)
    assert "skip" not in [initializer.name for initializer in result.graph.initializer]


def test_decomposition_edits_neither_weights_nor_other_nodes() -> None:
    model = graph(f"{FUSED[: FUSED.index('[skip]')]} y = Mul (a, gamma)")
    before = ir.to_proto(model)
    decompose(model)
    after = ir.to_proto(model)
    assert list(after.graph.initializer) == list(before.graph.initializer)
    assert after.graph.node[-1] == before.graph.node[-1]
    assert [(value.name, value.type) for value in after.graph.output] == [
        (value.name, value.type) for value in before.graph.output
    ]


def test_an_operator_that_stays_is_the_only_reader_of_its_inputs() -> None:
    model = graph('y = com.microsoft.FusedGemm <activation = "Elu"> (x, w)', initializers=WEIGHT)
    assert len(decompose(model).undecomposed) == 1
    assert [len(value.uses()) for value in (*model.graph.inputs, *model.graph.initializers.values())] == [1, 1]


def test_what_nothing_reads_is_not_left_behind() -> None:
    model = graph("y, k, v = com.microsoft.MultiHeadAttention <num_heads = 2> (x, x, x)", inputs="float[N,4,8] x")
    decompose(model)
    read = {value for node in model.graph for value in node.inputs} | set(model.graph.outputs)
    assert {value for node in model.graph for value in node.outputs} <= read
    assert set(model.graph.initializers.values()) <= read


def test_a_model_without_anything_to_take_apart_is_not_touched() -> None:
    model = graph("g = Gelu (x) y = Tanh (g)")
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    assert not decompose(model).origins
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "name", "reason"),
    [
        pytest.param(
            network("[gate] a = local.Gate (x) [other] y = local.Root (a)"),
            "other",
            "holds other/size: no rule matches Round here",
            id="function",
        ),
        pytest.param(
            graph("[gate] g = Gelu (x) [other] y = com.microsoft.Inverse (g)", inputs="float[N,4,4] x"),
            "other",
            "no rule matches the operator com.microsoft.Inverse",
            id="operator",
        ),
        pytest.param(
            graph("[gate] g = Gelu (x) [other] y = com.microsoft.RotaryEmbedding (g, position_ids, c, c)",
                  inputs="float[N,4,32] x, int64[1] position_ids",
                  initializers="float[9,16] c = {" + ",".join(["1"] * 144) + "}"),
            None,
            "",
            id="rotation",
        ),
    ],
)  # fmt: skip
def test_a_network_is_converted_around_what_nobody_knows(
    model: Any, name: str | None, reason: str, tmp_path: Path
) -> None:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    shape = [dim.dim_value or 16 for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": normal(*shape)} | ({"position_ids": np.zeros(1, int)} if len(proto.graph.input) > 1 else {})
    path = tmp_path / "spiking.onnx"
    report = onnx_snn.convert(model, path, [feeds], progress=False, fast=True)
    assert report.count(Status.CONVERTED) == 1
    assert [(node.name, node.reason) for node in report.nodes if node.status is Status.REFUSED] == (
        [(name, reason)] if name else []
    )
    assert "other" in [node.name for node in onnx.load(path).graph.node]
    # An inverse makes the error of its argument several times as large.
    assert relative_error(run(proto, feeds)["y"], run(path, feeds)["y"]) < 0.06

# SPDX-License-Identifier: Apache-2.0
"""Ranks that no inference knows are seen in the calibration data, for every rule that needs one."""

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
from onnx_snn.calibration.ranks import forget_ranks, inferred_ranks, lacks_ranks, observed_ranks, set_ranks

INPUTS = {"inputs": "float[N,4,8] x, int64[K] shape"}
RESHAPE = "r = Reshape (x, shape) "
FEEDS = [{"x": normal(2, 4, 8, seed=seed), "shape": np.array([2, 4, 8])} for seed in range(3)]

BODIES = {
    "softmax": "y = Softmax <axis = 1> (r)",
    "decomposed softmax": "e = Exp (r) s = ReduceSum (e, second) y = Div (e, s)",
    "layer normalization": "y = LayerNormalization <axis = 2> (r, gamma, beta)",
    "decomposed normalization": "s = Mul (r, r) m = ReduceMean <axes = [2]> (s) v = Add (m, eps) "
    "q = Sqrt (v) y = Div (r, q)",
}


def model(body: str, **options: Any) -> ir.Model:
    return graph(RESHAPE + body, **{**INPUTS, "opset": 17, "initializers": "int64[1] second = {2}", **options})


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_the_rank_is_seen(body: str, tmp_path: Path) -> None:
    found = checked_conversion(model(body), tmp_path, FEEDS)
    assert statuses(found.report) == {"y": Status.CONVERTED}
    assert found.error < 0.02
    written = ir.load(found.spiking)
    assert all(value.shape is None for node in written.graph for value in node.outputs if value.name == "r")


def test_ranks_in_branches_are_seen(tmp_path: Path) -> None:
    first = "t () => (float[A,B,C] a) { p = Reshape (x, shape) a = Softmax <axis = 1> (p) }"
    other = "e () => (float[A,B,C] b) { q = Reshape (x, shape) b = Softmax <axis = 0> (q) }"
    body = f"z = Neg (r) y = If (c) <then_branch = {first}, else_branch = {other}>"
    feeds = [{**feed, "c": np.array([number % 2 == 0])} for number, feed in enumerate(FEEDS)]
    found = checked_conversion(model(body, inputs="float[N,4,8] x, int64[K] shape, bool[1] c"), tmp_path, feeds)
    assert statuses(found.report) == {"a": Status.CONVERTED, "b": Status.CONVERTED}
    assert found.error < 0.02


def test_an_output_keeps_its_declaration(tmp_path: Path) -> None:
    outputs = "float[A,B,C] y, float[A,B,C] t"
    found = checked_conversion(model("t = Tanh (r) y = Softmax <axis = 1> (t)", outputs=outputs), tmp_path, FEEDS)
    assert statuses(found.report) == {"t": Status.CONVERTED, "y": Status.CONVERTED}


@pytest.mark.slow
def test_tuning_sees_the_rank(tmp_path: Path) -> None:
    checked = checked_conversion(model("t = Tanh (r) y = Softmax <axis = 1> (t)"), tmp_path, FEEDS)
    report = onnx_snn.tune(
        checked.original, tmp_path / "t.onnx", FEEDS, target_loss=0.5, max_timesteps=4, progress=False
    )
    assert statuses(report.conversion) == {"t": Status.CONVERTED, "y": Status.CONVERTED}


def test_inferred_ranks_need_no_data() -> None:
    found = graph("t = Tanh (x) y = Softmax <axis = 1> (t)")
    assert lacks_ranks(found)
    set_ranks(found, inferred_ranks(found))
    assert not lacks_ranks(found)
    assert not lacks_ranks(graph("t = Tanh (x) y = Sigmoid (t)"))


def test_ranks_are_forgotten() -> None:
    found = model("t = Tanh (r) y = Softmax <axis = 1> (t)")
    before = [(value.type, value.shape) for node in found.graph for value in node.outputs]
    ranks = observed_ranks(found, FEEDS)
    assert {name: rank.axes for name, rank in ranks.items()} == {"r": 3, "t": 3}
    set_ranks(found, ranks)
    forget_ranks(found, ranks)
    assert [(value.type, value.shape) for node in found.graph for value in node.outputs] == before

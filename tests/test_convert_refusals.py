# SPDX-License-Identifier: Apache-2.0
"""What a conversion leaves as it is, and the reason that it gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from conversions import WEIGHT, X, converted, statuses
from graphs import graph, unmatched
from networks import relative_error, run

from onnx_snn import ModelError, Status

BRANCHES = """
    g = Gelu (x)
    sum = ReduceSum <keepdims = 0> (g)
    positive = Greater (sum, zero)
    y = If (positive) <
        then_branch = yes () => (float[N,4,8] a) { a = Gelu (x) },
        else_branch = no () => (float[N,4,8] b) { t = Tanh (g) b = MatMul (t, weight) }
    >
"""


@pytest.mark.slow
def test_what_lies_in_branches_is_converted_where_it_lies(tmp_path: Path) -> None:
    model = graph(BRANCHES, initializers=WEIGHT)
    both = [{"x": sign * np.abs(X["x"])} for sign in (1, -1)]
    path, report = converted(model, tmp_path, both)
    assert statuses(report) == dict.fromkeys("gatb", Status.CONVERTED)
    assert all(node.sqnr_db is not None and node.sqnr_db > 40 for node in report.nodes)
    (choice,) = (node for node in onnx.load(path).graph.node if node.op_type == "If")
    spiking = {a.name: [node.op_type for node in a.g.node if node.domain == "onnx_snn"] for a in choice.attribute}
    assert spiking == {"then_branch": ["MbeNeuron"], "else_branch": ["MbeNeuron"] * 2}
    for feeds in both:
        assert relative_error(run(model, feeds)["y"], run(path, feeds)["y"]) < 0.005


def test_a_branch_that_the_data_does_not_take_is_refused_and_runs_as_before(tmp_path: Path) -> None:
    model = graph(BRANCHES, initializers=WEIGHT)
    path, report = converted(model, tmp_path)
    refused = {node.name: node.reason for node in report.nodes if node.status is Status.REFUSED}
    reason = "lies in else_branch of the node 'y', which no calibration sample takes"
    assert refused == dict.fromkeys("tb", reason)
    feeds = {"x": -X["x"]}
    assert relative_error(run(model, feeds)["y"], run(path, feeds)["y"]) < 0.02


REFUSED = {
    "in a branch never taken": (
        """zeros = Sub (x, x) any = ReduceMax <keepdims = 0> (zeros) c = Cast <to = 9> (any) y = If (c) <
            then_branch = yes () => (float[N,4,8] a) { a = Gelu (x) },
            else_branch = no () => (float[N,4,8] b) { b = Neg (x) } >""",
        "lies in then_branch of the node 'y', which no calibration sample takes",
    ),
    "in a branch in a loop": (
        """n = Constant <value_int = 2> () y = Loop (n, , x) <
            body = b (int64 i, bool go, float[N,4,8] v) => (bool on, float[N,4,8] w) {
                on = Identity (go) w = If (go) <
                    then_branch = yes () => (float[N,4,8] a) { a = Gelu (v) },
                    else_branch = no () => (float[N,4,8] b) { b = Neg (v) }
                >
            } >""",
        "lies in a branch within the body of the Loop 'y'",
    ),
    "NaN": ("n = Acosh (x) y = Gelu (n)", "calibration saw [0-9]+ NaN"),
    "vanishing values": (
        "c = Constant <value_float = 1e-20> () v = Mul (x, c) y = Gelu (v)",
        "calibration saw values from -.*e-20 to .*e-20",
    ),
    "other operator": ("y = Det (x)", "no rule matches Det"),
}
INITIALIZERS = WEIGHT


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_where_nothing_can_be_converted_the_error_says_why(body: str, reason: str, tmp_path: Path) -> None:
    outputs = "float[N] y" if "Det" in body else "float[N,4,8] y"
    inputs = "float[N,4,4] x" if "Det" in body else "float[N,4,8] x"
    model = graph(body, inputs=inputs, outputs=outputs, initializers=INITIALIZERS)
    with pytest.raises(ModelError, match=f"nothing can be converted: .*{reason}"):
        converted(model, tmp_path, {"x": X["x"][..., : 4 if "Det" in body else 8]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_strict_makes_an_error_of_a_refusal(tmp_path: Path) -> None:
    model = graph("g = Gelu (x) y = Round (g)")
    assert statuses(converted(model, tmp_path)[1]) == {"g": Status.CONVERTED, "y": Status.REFUSED}
    with pytest.raises(ModelError, match="strict, but not converted: y: no rule matches Round"):
        converted(model, tmp_path, strict=True)


def test_strict_accepts_what_is_exact_without_a_neuron(tmp_path: Path) -> None:
    body = "g = Tanh (x) m = Max (g, third) c = Clip (m, zero, half) v, i = TopK (c, last) y = Add (m, c)"
    model = graph(body.replace("last", "one_of_them"), initializers="int64[1] one_of_them = {1}")
    _, report = converted(model, tmp_path, strict=True, fast=True)
    assert statuses(report) == {"g": Status.CONVERTED, **dict.fromkeys("mcv", Status.EXACT)}
    assert report.classes == {"converted": 1, "kept": 0, "linear": 1, "exact": 3, "steering": 0, "refused": 0}
    assert "all 5 nodes: 1 converted, 1 linear or movement, 3 kept, exact" in report.text()
    assert report.to_json()["classes"] == report.classes


def test_a_cell_that_is_left_is_called_recurrent() -> None:
    model = graph("s, h, c = LSTM <hidden_size = 1> (x, x, x) y = Tanh (s)")
    assert unmatched(model)["LSTM"].startswith("recurrent state inside")


def test_strict_accepts_what_the_user_keeps(tmp_path: Path) -> None:
    _, report = converted(graph("g = Gelu (x) y = Tanh (g)"), tmp_path, strict=True, exclude="y")
    assert statuses(report) == {"g": Status.CONVERTED, "y": Status.KEPT}


def test_an_operator_that_cannot_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"knows no operator acme\.Mystery; convert the model without it"):
        converted(graph("h = acme.Mystery (x) y = Gelu (h)"), tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""Softmax as an operator and written out, and what only looks like it."""

from __future__ import annotations

import pytest
from graphs import functions, graph, graph_on_sizes, kinds, operand_orders, unmatched

from onnx_snn.rules import Kind, recognise
from onnx_snn.rules.site import SoftmaxSite

STABLE = "m = ReduceMax(x, last) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, last) y = Div(e, s)"
PLAIN = "e = Exp(x) s = ReduceSum(e, last) y = Div(e, s)"
FORMS = [
    STABLE,
    PLAIN,
    STABLE.replace("y = Div(e, s)", "r = Reciprocal(s) y = Mul(e, r)"),
    STABLE.replace("y = Div(e, s)", "r = Div(one, s) y = Mul(e, r)"),
]


@pytest.mark.parametrize("body", FORMS)
def test_written_out(body: str) -> None:
    for ordered in operand_orders(body):
        model = graph(ordered)
        found = recognise(model)
        (site,) = found.sites
        assert isinstance(site, SoftmaxSite), ordered
        assert (site.kind, site.axis, found.unmatched) == (Kind.SOFTMAX, -1, []), ordered
        assert set(site.nodes) == set(model.graph)


def test_axes_as_an_attribute() -> None:
    body = "m = ReduceMax<axes = [1]>(x) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, axis1) y = Div(e, s)"
    (site,) = recognise(graph(body, initializers="int64[1] axis1 = {1}", opset=17)).sites
    assert isinstance(site, SoftmaxSite)
    assert site.axis == -2


@pytest.mark.parametrize(
    ("body", "opset", "axis"),
    [
        ("y = Softmax(x)", 20, -1),
        ("y = Softmax<axis = 1>(x)", 20, -2),
        ("y = Softmax<axis = 2>(x)", 12, -1),
        ("y = Softmax<axis = -1>(x)", 12, -1),
    ],
)
def test_operator(body: str, opset: int, axis: int) -> None:
    (site,) = recognise(graph(body, opset=opset)).sites
    assert isinstance(site, SoftmaxSite)
    assert (site.axis, site.inputs[0].name) == (axis, "x")


@pytest.mark.parametrize("body", ["y = Softmax(x)", "y = Softmax<axis = 1>(x)"])
def test_operator_that_flattens_is_reported(body: str) -> None:
    model = graph(body, opset=12)
    assert kinds(model) == []
    assert "flattens" in unmatched(model)["Softmax"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(STABLE.replace("last", "both"), "a single axis", id="two axes"),
        pytest.param(STABLE.replace("ReduceSum(e, last)", "ReduceSum<keepdims = 0>(e, last)"), "drops", id="drops"),
        pytest.param(PLAIN.replace("(e, last)", "(e)"), "not given as constants", id="all axes"),
        pytest.param("also = Neg(e) " + PLAIN, "used outside the pattern", id="used elsewhere"),
        pytest.param(PLAIN.replace("Div(e, s)", "Div(x, s)"), "divides by", id="other numerator"),
        pytest.param(PLAIN.replace("Exp(x)", "Erf(x)"), "divides by", id="other function"),
    ],
)
def test_what_only_looks_like_it(body: str, reason: str) -> None:
    model = graph(
        body,
        initializers="int64[2] both = {-1, -2}",
        outputs="float[N,4,8] y" + (", float[N,4,8] also" if "also" in body else ""),
    )
    assert Kind.SOFTMAX not in kinds(model)
    assert len(functions(model)) == 1
    assert reason in unmatched(model)["Div"]


def test_maximum_over_another_axis_stays_before_the_site() -> None:
    model = graph(STABLE.replace("(x, last)", "(x, first)"), initializers="int64[1] first = {0}")
    (site,) = recognise(model).sites
    assert isinstance(site, SoftmaxSite)
    assert (site.inputs[0].name, site.axis) == ("d", -1)
    assert set(unmatched(model)) == {"ReduceMax"}


def test_inner_value_as_a_graph_output_prevents_the_match() -> None:
    assert kinds(graph(PLAIN, outputs="float[N,4,8] y, float[N,4,8] e")) == [Kind.FUNCTION]


@pytest.mark.parametrize(
    ("body", "reason"),
    [("y = LogSoftmax(x)", "no rule matches LogSoftmax"), ("y = Hardmax(x)", "compares and selects values")],
)
def test_relatives_are_reported(body: str, reason: str) -> None:
    model = graph(body)
    assert kinds(model) == []
    assert reason in next(iter(unmatched(model).values()))


@pytest.mark.parametrize("body", [*FORMS, "y = Softmax(x)", "y = LogSoftmax(x)"])
def test_softmax_of_sizes_stays(body: str) -> None:
    found = recognise(graph_on_sizes(body))
    assert (found.sites, found.unmatched) == ([], [])

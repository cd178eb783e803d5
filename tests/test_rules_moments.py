# SPDX-License-Identifier: Apache-2.0
"""Normalizations and softmax as JAX and TensorFlow write them, and what only looks like them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from both_runtimes import checked_conversion
from graphs import graph, kinds
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.rules import Kind, moments, recognise
from onnx_snn.rules.rule import Refusal, Scope
from onnx_snn.rules.site import LayerNormSite, NormSite, SoftmaxSite

INITIALIZERS = (
    "float[1] eighth = {0.125}, float[1] quarter = {0.25}, float[1] eight = {8}, float[1] infinity = {0}, "
    "int64[1] middle = {1}, int64[1] start = {0}, int64[1] unit = {1}, int64[1] four = {4}, int64[1] five = {5}, "
    "int64[1] features = {8}, int64[3] across = {-1, 1, 8}, float[4,1] tall = {1, 2, 3, 4}, "
    "float[1,4,1] taller = {4, 3, 2, 1}, float[1,1,8] wide = {1, 2, 3, 4, 5, 6, 7, 8}"
)
"""Constants beside those of `graph`; `infinity` is set to that below 0."""

BATCH = "shape = Shape(x) batch = Slice(shape, start, unit) to = Concat<axis = 0>(batch, four, unit) "
"""The shape [batch, 4, 1], computed from the input."""

MEAN = "sum = ReduceSum<keepdims = 0>(x, last) m = Mul(sum, eighth) "
SQUARES = "q = Mul(x, x) squares = ReduceSum<keepdims = 0>(q, last) mq = Mul(squares, eighth) mm = Mul(m, m) "
VARIANCE = "u = Sub(mq, mm) v = Max(zero, u) "
RESTORED = "mr = Reshape(m, to) me = Expand(mr, to) vr = Reshape(v, to) ve = Expand(vr, to) "
FACTOR = "w = Add(ve, eps) s = Sqrt(w) r = Reciprocal(s) f = Mul(r, gamma) "
FLAX = BATCH + MEAN + SQUARES + VARIANCE + RESTORED + FACTOR + "d = Sub(x, me) n = Mul(d, f) y = Add(n, beta)"
KERAS = (
    "me = ReduceMean(x, last) e = Sub(x, me) q = Mul(e, e) ve = ReduceMean(q, last) "
    + FACTOR
    + "xf = Mul(x, f) mf = Mul(me, f) b = Sub(beta, mf) y = Add(xf, b)"
)
RMS = (
    "q = Mul(x, x) squares = ReduceSum<keepdims = 0>(q, last) v = Div(squares, eight) "
    "ve = Unsqueeze(v, last) " + FACTOR + "y = Mul(x, f)"
)
SOFTMAX = (
    BATCH + "top = ReduceMax<keepdims = 0>(x, last) g = Max(infinity, top) gr = Reshape(g, to) "
    "ge = Expand(gr, to) d = Sub(x, ge) e = Exp(d) sum = ReduceSum<keepdims = 0>(e, last) sr = Reshape(sum, to) "
    "se = Expand(sr, to) y = Div(e, se)"
)


UNGUARDED = [("g = Max(infinity, top) ", ""), ("Reshape(g, to)", "Reshape(top, to)")]

TALL = FLAX.replace("last", "middle").replace("eighth", "quarter").replace("four, unit)", "unit, features)")
"""The normalization along the second axis."""

EDITS = {
    "as it is": [],
    "not guarded": [("v = Max(zero, u) ", ""), ("Reshape(v,", "Reshape(u,")],
    "guarded by Relu": [("Max(zero, u)", "Relu(u)")],
    "square as a power": [("Mul(x, x)", "Pow(x, two)")],
    "not expanded": [("me = Expand(mr, to) ", ""), ("Sub(x, me)", "Sub(x, mr)")],
    "divided by the number": [("Mul(sum, eighth)", "Div(sum, eight)")],
    "by mean": [("sum = ReduceSum", "m = ReduceMean"), ("(x, last) m = Mul(sum, eighth)", "(x, last)")],
}
"""Other ways to write the formula of Flax."""


def edited(body: str, edits: list[tuple[str, str]]) -> str:
    for old, new in edits:
        assert old in body
        body = body.replace(old, new)
    return body


def of(body: str) -> ir.Model:
    model = graph(body, initializers=INITIALIZERS, opset=18)
    if "infinity" in model.graph.initializers:
        model.graph.initializers["infinity"].const_value = ir.tensor(np.array([-np.inf], np.float32), name="infinity")
    return model


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        *(pytest.param(edited(FLAX, edits), Kind.LAYER_NORM, id=name) for name, edits in EDITS.items()),
        pytest.param(KERAS, Kind.LAYER_NORM, id="shift that holds the mean"),
        pytest.param(RMS, Kind.RMS_NORM, id="mean square"),
        pytest.param(SOFTMAX, Kind.SOFTMAX, id="softmax"),
        pytest.param(edited(SOFTMAX, UNGUARDED), Kind.SOFTMAX, id="softmax without a guard"),
    ],
)
def test_all_of_it_is_one_site(body: str, kind: Kind) -> None:
    found = recognise(of(body))
    (site,) = found.sites
    assert (site.kind, found.unmatched, found.exact) == (kind, [], [])
    assert (site.inputs[0].name, site.output.name) == ("x", "y")
    match site:
        case NormSite():
            assert (site.axes, site.gamma and site.gamma.name) == ((-1,), "gamma")
            assert not isinstance(site, LayerNormSite) or (site.beta and site.beta.name) == "beta"
        case SoftmaxSite():
            assert site.axis == -1


@pytest.mark.parametrize(("gamma", "found"), [("tall", (-2,)), ("taller", (-2,)), ("half", (-2,)), ("wide", None)])
def test_scale_along_another_axis(gamma: str, found: tuple[int, ...] | None) -> None:
    """Sums over the second axis, whose scale is of rank 2 or 3; one along the features is not of that axis."""
    body = TALL.replace("gamma", gamma).replace("beta", gamma)
    model = of(body)
    sites = [site for site in recognise(model).sites if isinstance(site, NormSite)]
    assert [site.axes for site in sites] == ([] if found is None else [found])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(FLAX.replace("Mul(sum, eighth)", "Mul(sum, quarter)"), "are no means", id="other number"),
        pytest.param(FLAX.replace("Mul(sum, eighth)", "Div(sum, eighth)"), "are no means", id="divided by 1 / n"),
        pytest.param(FLAX.replace("(q, last)", "(q, middle)"), "different axes", id="other axes"),
        pytest.param(
            FLAX.replace("mr = Reshape(m, to)", "mr = Reshape(m, across)"), "may not restore", id="along another axis"
        ),
        pytest.param(
            FLAX.replace("me = Expand(mr, to)", "more = Concat<axis = 0>(five, four, unit) me = Expand(mr, more)"),
            "may broadcast",
            id="expanded to more rows",
        ),
        pytest.param(FLAX.replace("Mul(r, gamma)", "Mul(r, x)"), "not a constant", id="activation for a scale"),
        pytest.param(FLAX.replace("Mul(m, m)", "Mul(m, mq)"), "", id="no square of the mean"),
    ],
)
def test_what_only_looks_like_a_norm(body: str, reason: str) -> None:
    model = of(body)
    assert Kind.LAYER_NORM not in kinds(model)
    scope = Scope(model, ActivationFlow(model))
    found = [rule.match(node, scope) for rule in moments.RULES for node in model.graph]
    refusals = [refusal.reason for refusal in found if isinstance(refusal, Refusal)]
    assert all(reason in text for text in refusals)
    assert bool(refusals) == bool(reason)


def test_softmax_restored_along_another_axis_is_none() -> None:
    assert Kind.SOFTMAX not in kinds(of(SOFTMAX.replace("sr = Reshape(sum, to)", "sr = Reshape(sum, across)")))


@pytest.mark.parametrize("gamma", ["tall", "taller"])
def test_converted_norm_along_another_axis(gamma: str, tmp_path: Path) -> None:
    """The neurons are chosen by their errors at the output, with a scale for each place along the axis."""
    body = TALL.replace("gamma", gamma).replace("beta", gamma)
    model = of(body)
    x = np.random.default_rng(0).normal(3.0, [[1.0], [0.1], [4.0], [1.0]], (8, 4, 8)).astype(np.float32)
    found = checked_conversion(model, tmp_path, [{"x": part} for part in x.reshape(4, 2, 4, 8)], fast=False)
    assert [node.kind for node in found.report.nodes] == ["layer_norm"]
    assert found.error < 0.02


@given(st.integers(1, 4), st.sampled_from([0.125, 0.124, 0.25]))
def test_only_the_share_of_all_elements_makes_means(exponent: int, share: float) -> None:
    initializers = INITIALIZERS.replace("eighth = {0.125}", f"eighth = {{{share * 2.0 ** (3 - exponent)!r}}}")
    model = graph(
        FLAX.replace("gamma", "half").replace("beta", "half"),
        inputs=f"float[N,4,{2**exponent}] x",
        outputs=f"float[N,4,{2**exponent}] y",
        initializers=initializers,
        opset=17,
    )
    assert (Kind.LAYER_NORM in kinds(model)) == (share == 0.125)

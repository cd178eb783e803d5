# SPDX-License-Identifier: Apache-2.0
"""LayerNorm and RMSNorm as operators and written out, and what only looks like them."""

from __future__ import annotations

import pytest
from graphs import CONSTANTS, graph, graph_on_sizes, kinds, operand_orders, unmatched

from onnx_snn.rules import Kind, Site, recognise
from onnx_snn.rules.site import LayerNormSite, NormSite

LAYER = (
    "m = ReduceMean(x, last) d = Sub(x, m) p = Pow(d, two) v = ReduceMean(p, last) w = Add(v, eps) "
    "s = Sqrt(w) n = Div(d, s) g = Mul(n, gamma) y = Add(g, beta)"
)
RMS = "p = Pow(x, two) v = ReduceMean(p, last) w = Add(v, eps) s = Sqrt(w) n = Div(x, s) y = Mul(n, gamma)"


def forms(norm: str, d: str) -> list[str]:
    """`norm`, which divides `d` by its deviation, with a square and a quotient of every form."""
    return [
        norm,
        norm.replace(f"Pow({d}, two)", f"Mul({d}, {d})"),
        norm.replace(f"n = Div({d}, s)", f"r = Reciprocal(s) n = Mul({d}, r)"),
        norm.replace(f"n = Div({d}, s)", f"r = Div(one, s) n = Mul({d}, r)"),
        norm.replace(f"s = Sqrt(w) n = Div({d}, s)", f"r = Pow(w, minushalf) n = Mul({d}, r)"),
    ]


LAYER_FORMS = [
    *forms(LAYER, "d"),
    LAYER.replace("Div(d, s)", "Div(again, s)").replace("d = Sub", "again = Sub(x, m) d = Sub"),
]
RMS_FORMS = forms(RMS, "x")
CASES = [(Kind.LAYER_NORM, body) for body in LAYER_FORMS] + [(Kind.RMS_NORM, body) for body in RMS_FORMS]
LAYER_WITHOUT_SHIFT = LAYER.replace("g = Mul(n, gamma) y = Add(g, beta)", "y = Mul(n, gamma)")
LAYER_WITHOUT_SCALE = LAYER.replace("n = Div(d, s) g = Mul(n, gamma) y = Add(g, beta)", "y = Div(d, s)")
RMS_WITHOUT_SCALE = RMS.replace("n = Div(x, s) y = Mul(n, gamma)", "y = Div(x, s)")


def affine(site: NormSite) -> tuple[str | None, str | None]:
    gamma, beta = site.gamma, site.beta if isinstance(site, LayerNormSite) else None
    return (None if gamma is None else gamma.name), (None if beta is None else beta.name)


def only_site(body: str, **options: object) -> Site:
    (site,) = recognise(graph(body, **options)).sites  # type: ignore[arg-type]
    return site


@pytest.mark.parametrize(("kind", "body"), CASES)
def test_written_out(kind: Kind, body: str) -> None:
    for ordered in operand_orders(body):
        model = graph(ordered)
        found = recognise(model)
        (site,) = found.sites
        assert (site.kind, found.unmatched) == (kind, []), ordered
        assert set(site.nodes) == set(model.graph)
        assert (site.inputs[0].name, site.output.name) == ("x", "y")
        assert isinstance(site, NormSite)
        assert site.axes == (-1,)
        assert site.epsilon == pytest.approx(CONSTANTS["eps"], rel=1e-6)
        assert affine(site) == ("gamma", "beta" if kind is Kind.LAYER_NORM else None)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (LAYER_WITHOUT_SHIFT, ("gamma", None)),
        (LAYER_WITHOUT_SCALE, (None, None)),
        (RMS_WITHOUT_SCALE, (None, None)),
    ],
)
def test_without_scale_or_shift(body: str, expected: tuple[str | None, str | None]) -> None:
    assert affine(only_site(body)) == expected


@pytest.mark.parametrize(
    ("body", "expected", "left"),
    [
        pytest.param(LAYER.replace("beta", "x"), ("gamma", None), {"Add"}, id="residual for a shift"),
        pytest.param(LAYER.replace("beta", "table"), ("gamma", None), {"Add"}, id="shift of another rank"),
        pytest.param(LAYER.replace("gamma", "half"), (None, None), {"Mul", "Add"}, id="scalar for a scale"),
        pytest.param(RMS.replace("gamma", "x"), (None, None), {"Mul"}, id="activation for a scale"),
    ],
)
def test_what_is_no_scale_or_shift_stays_behind_the_site(
    body: str, expected: tuple[str | None, str | None], left: set[str]
) -> None:
    model = graph(body, initializers="float[1,8] table = {1,2,3,4,5,6,7,8}")
    site = next(site for site in recognise(model).sites if site.kind in (Kind.LAYER_NORM, Kind.RMS_NORM))
    assert affine(site) == expected
    assert {node.op_type for node in model.graph if node not in site.nodes} == left


def test_scale_may_be_a_constant_expression_of_known_shape() -> None:
    body = "k = Cast<to = 1>(gamma) " + RMS.replace("gamma", "k")
    model = graph(body)
    next(iter(model.graph)).outputs[0].shape = model.graph.initializers["gamma"].shape
    (site,) = recognise(model).sites
    assert affine(site) == ("k", None)


@pytest.mark.parametrize(
    ("body", "kind", "opset", "expected"),
    [
        ("y = LayerNormalization(x, gamma, beta)", Kind.LAYER_NORM, 17, ((-1,), 1e-5, "gamma", "beta")),
        ("y = LayerNormalization<axis = 2>(x, gamma)", Kind.LAYER_NORM, 17, ((-1,), 1e-5, "gamma", None)),
        ("y = LayerNormalization<axis = 1>(x, w)", Kind.LAYER_NORM, 17, ((-2, -1), 1e-5, "w", None)),
        ("y = LayerNormalization<epsilon = 1e-3>(x, w)", Kind.LAYER_NORM, 17, ((-1,), 1e-3, "w", None)),
        ("y = RMSNormalization(x, gamma)", Kind.RMS_NORM, 23, ((-1,), 1e-5, "gamma", None)),
        ("y = SimplifiedLayerNormalization(x, gamma)", Kind.RMS_NORM, 17, ((-1,), 1e-5, "gamma", None)),
    ],
)
def test_operator(body: str, kind: Kind, opset: int, expected: tuple[object, ...]) -> None:
    site = only_site(body, opset=opset, initializers=f"float[4,8] w = {{{','.join('1' * 32)}}}")
    axes, epsilon, gamma, beta = expected
    assert isinstance(site, NormSite)
    assert (site.kind, site.axes) == (kind, axes)
    assert site.epsilon == pytest.approx(epsilon, rel=1e-6)
    assert affine(site) == (gamma, beta)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param("y = LayerNormalization(x, x)", "not a constant", id="activation for a scale"),
        pytest.param("y, mean = LayerNormalization(x, gamma, beta)", "used outside the pattern", id="mean is needed"),
        pytest.param(RMS.replace("ReduceMean(p", "ReduceMean<keepdims = 0>(p"), "drops", id="drops"),
        pytest.param(RMS.replace("eps", "gamma"), "not a scalar constant", id="epsilon a vector"),
        pytest.param(RMS.replace("two", "three"), "divides by an activation", id="cube"),
        pytest.param(RMS.replace("ReduceMean", "ReduceSum"), "divides by an activation", id="sum"),
        pytest.param(RMS + " mean = Neg(w)", "used outside the pattern", id="inner value used"),
        pytest.param(LAYER.replace("(p, last)", "(p, first)"), "run over different axes", id="mixed axes"),
        pytest.param(RMS.replace("n = Div(x, s)", "o = Neg(x) n = Div(o, s)"), "divides", id="other numerator"),
    ],
)
def test_what_only_looks_like_a_norm_is_reported(body: str, reason: str) -> None:
    also = ", float[N,4,1] mean" if "mean" in body else ""
    model = graph(body, initializers="int64[1] first = {0}", outputs=f"float[N,4,8] y{also}")
    assert not {Kind.LAYER_NORM, Kind.RMS_NORM} & set(kinds(model))
    assert any(reason in text for text in unmatched(model).values())


@pytest.mark.parametrize(
    ("body", "axes", "expected"),
    [
        pytest.param(RMS.replace("last", "first"), (-3,), (None, None), id="first axis"),
        pytest.param(LAYER.replace("last", "middle"), (-2,), (None, None), id="middle axis"),
        pytest.param(LAYER.replace("last", "both"), (-2, -1), (None, None), id="both axes, a scale of one"),
        pytest.param(LAYER_WITHOUT_SCALE.replace("last", "outer"), (-3, -1), (None, None), id="axes apart"),
        pytest.param(
            LAYER.replace("last", "both").replace("gamma", "ones").replace("beta", "ones"),
            (-2, -1),
            ("ones", "ones"),
            id="both",
        ),
    ],
)
def test_norm_over_other_axes(body: str, axes: tuple[int, ...], expected: tuple[str | None, str | None]) -> None:
    axes_of = "int64[1] first = {0}, int64[1] middle = {1}, int64[2] both = {1, 2}, int64[2] outer = {0, -1}"
    model = graph(body, initializers=f"{axes_of}, float[4,8] ones = {{{','.join('1' * 32)}}}")
    site = recognise(model).sites[0]
    assert isinstance(site, NormSite)
    assert (site.axes, affine(site)) == (axes, expected)


def test_axes_from_the_start_of_an_unknown_rank_are_reported() -> None:
    reasons = unmatched(graph("z = acme.Any(x) y = LayerNormalization<axis = 1>(z, gamma)"))
    assert "the rank of its input is unknown" in reasons["LayerNormalization"]


def test_deviation_needed_outside_leaves_a_norm_of_the_deviation() -> None:
    model = graph(LAYER_WITHOUT_SCALE + " also = Neg(d)", outputs="float[N,4,8] y, float[N,4,8] also")
    (site,) = recognise(model).sites
    assert (site.kind, site.inputs[0].name) == (Kind.RMS_NORM, "d")


@pytest.mark.parametrize("body", [LAYER, RMS, "y = LayerNormalization(x, gamma, beta)"])
def test_norm_of_sizes_stays(body: str) -> None:
    found = recognise(graph_on_sizes(body))
    assert (found.sites, found.unmatched) == ([], [])

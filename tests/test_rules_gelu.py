# SPDX-License-Identifier: Apache-2.0
"""GELU in every form, and what only looks like it."""

from __future__ import annotations

import pytest
from graphs import assert_found_in_every_order, functions, graph, graph_on_sizes, unmatched

from onnx_snn.rules import recognise

ERF = {
    "half last": "d = Div(x, root2) e = Erf(d) s = Add(e, one) m = Mul(x, s) y = Mul(m, half)",
    "half on the gate": "d = Div(x, root2) e = Erf(d) s = Add(e, one) m = Mul(s, half) y = Mul(x, m)",
    "half first": "h = Mul(x, half) d = Div(x, root2) e = Erf(d) s = Add(e, one) y = Mul(h, s)",
    "half distributed": "d = Div(x, root2) e = Erf(d) g = Mul(e, half) s = Add(g, half) y = Mul(x, s)",
    "root as a product": "d = Mul(x, invroot2) e = Erf(d) s = Add(e, one) m = Mul(x, s) y = Mul(m, half)",
    "half as a quotient": "d = Div(x, root2) e = Erf(d) s = Add(e, one) m = Mul(x, s) y = Div(m, two)",
    "half first as a quotient": "h = Div(x, two) d = Div(x, root2) e = Erf(d) s = Add(e, one) y = Mul(h, s)",
}
CUBE = "p = Pow(x, three) c = Mul(p, cubic) a = Add(x, c) i = Mul(a, rootpi) t = Tanh(i) s = Add(t, one) "
TANH = {
    "half last": CUBE + "m = Mul(x, s) y = Mul(m, half)",
    "half on the gate": CUBE + "m = Mul(s, half) y = Mul(x, m)",
    "half first": CUBE + "h = Mul(x, half) y = Mul(h, s)",
    "half distributed": CUBE.replace("s = Add(t, one)", "g = Mul(t, half) s = Add(g, half)") + "y = Mul(x, s)",
    "cube as products": CUBE.replace("p = Pow(x, three)", "q = Mul(x, x) p = Mul(q, x)")
    + "h = Mul(x, half) y = Mul(h, s)",
    "cube as a square": CUBE.replace("p = Pow(x, three)", "q = Pow(x, two) p = Mul(q, x)")
    + "h = Mul(x, half) y = Mul(h, s)",
    "cube unfolded": "k = Mul(x, cubic) p = Mul(k, x) c = Mul(p, x) a = Add(x, c) i = Mul(a, rootpi) "
    "t = Tanh(i) s = Add(t, one) h = Mul(x, half) y = Mul(h, s)",
    "factored": "k = Mul(x, cubic) p = Mul(k, x) a = Add(p, one) r = Mul(x, rootpi) i = Mul(r, a) "
    "t = Tanh(i) s = Add(t, one) h = Mul(x, half) y = Mul(h, s)",
    "factored square": "k = Pow(x, two) p = Mul(k, cubic) a = Add(p, one) r = Mul(x, rootpi) "
    "i = Mul(r, a) t = Tanh(i) s = Add(t, one) h = Mul(x, half) y = Mul(h, s)",
}
QUICK = {"sigmoid": "k = Mul(x, quick) g = Sigmoid(k) y = Mul(x, g)"}
FORMS = [
    pytest.param(function, body, id=f"{function}: {name}")
    for function, forms in (("gelu", ERF), ("gelu_tanh", TANH), ("gelu_quick", QUICK))
    for name, body in forms.items()
]


@pytest.mark.slow
@pytest.mark.parametrize(("function", "body"), FORMS)
def test_form_is_found_in_every_order_of_operands(function: str, body: str) -> None:
    assert_found_in_every_order(function, body)


@pytest.mark.parametrize(
    ("body", "function"),
    [
        ("y = Gelu(x)", "gelu"),
        ('y = Gelu<approximate = "none">(x)', "gelu"),
        ('y = Gelu<approximate = "tanh">(x)', "gelu_tanh"),
        ("y = com.microsoft.Gelu(x)", "gelu"),
        ("y = com.microsoft.FastGelu(x)", "gelu_tanh"),
        ("y = com.microsoft.QuickGelu(x)", "gelu_quick"),
        ("y = com.microsoft.QuickGelu<alpha = 1.702>(x)", "gelu_quick"),
    ],
)
def test_operator(body: str, function: str) -> None:
    assert functions(graph(body)) == [function]


@pytest.mark.parametrize(
    ("body", "remaining"),
    [
        pytest.param(ERF["half last"].replace("root2", "two"), ["erf"], id="wrong root"),
        pytest.param(ERF["half last"].replace("half", "third"), ["erf"], id="wrong half"),
        pytest.param(ERF["half last"].replace("one", "two"), ["erf"], id="wrong one"),
        pytest.param(ERF["half first"].replace("h = Mul(x, half)", "h = Mul(d, half)"), ["erf"], id="other x"),
        pytest.param(TANH["half last"].replace("cubic", "sixth"), ["power(3.0)", "tanh"], id="wrong cubic"),
        pytest.param(TANH["half last"].replace("three", "two"), ["power(2.0)", "tanh"], id="square for cube"),
        pytest.param(TANH["factored"].replace("rootpi", "one"), ["tanh"], id="wrong slope"),
        pytest.param(QUICK["sigmoid"].replace("quick", "two"), ["sigmoid"], id="wrong alpha"),
    ],
)
def test_other_constants_leave_the_inner_function(body: str, remaining: list[str]) -> None:
    assert functions(graph(body)) == remaining


@pytest.mark.parametrize(
    ("function", "body", "inner"),
    [
        ("gelu", ERF["half last"], "s"),
        ("gelu", ERF["half first"], "h"),
        ("gelu_tanh", TANH["half first"], "p"),
        ("gelu_quick", QUICK["sigmoid"], "k"),
    ],
)
@pytest.mark.parametrize("use", ["also = Neg({inner})", ""], ids=["used elsewhere", "a graph output"])
def test_inner_value_needed_outside_prevents_the_match(function: str, body: str, inner: str, use: str) -> None:
    extra = "also" if use else inner
    model = graph(f"{body} {use.format(inner=inner)}", outputs=f"float[N,4,8] y, float[N,4,8] {extra}")
    assert function not in functions(model)


@pytest.mark.parametrize(("function", "body"), FORMS)
def test_function_of_sizes_stays(function: str, body: str) -> None:
    found = recognise(graph_on_sizes(body))
    assert (found.sites, found.unmatched) == ([], []), function


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = com.microsoft.FastGelu(x, beta)", "bias"),
        ("y = com.microsoft.QuickGelu<alpha = 2.0>(x)", "alpha 2"),
    ],
)
def test_operator_that_is_more_than_gelu_is_reported(body: str, reason: str) -> None:
    model = graph(body)
    assert functions(model) == []
    assert reason in next(iter(unmatched(model).values()))


@pytest.mark.parametrize(
    "constant",
    [
        "Constant<value_float = 0.5>()",
        "Constant<value = float {0.5}>()",
        "Identity(half)",
        "Cast<to = 1>(half)",
    ],
)
def test_constant_in_whichever_wrapping(constant: str) -> None:
    assert functions(graph(f"c = {constant} " + ERF["half last"].replace("(m, half)", "(m, c)"))) == ["gelu"]


def test_constant_of_one_element_but_higher_rank_is_no_scalar() -> None:
    body = ERF["half last"].replace("(m, half)", "(m, halves)")
    assert functions(graph(body, initializers="float[1] halves = {0.5}")) == ["gelu"]
    assert functions(graph(body, initializers="float[1,1,1,1] halves = {0.5}")) == ["erf"]


@pytest.mark.parametrize(("shape", "function"), [("1,1,1", "gelu_quick"), ("1,1,1,1", "sigmoid")])
def test_a_constant_of_one_element_is_a_number_unless_it_raises_the_rank(shape: str, function: str) -> None:
    body = "k = Mul(x, factor) g = Sigmoid(k) y = Mul(x, g)"
    model = graph(body, initializers=f"float[{shape}] factor = {{1.702}}", outputs="float[A,N,4,8] y")
    found = {site.function_name for site in recognise(model).sites}
    assert function in found
    assert len(found & {"gelu_quick", "sigmoid"}) == 1

# SPDX-License-Identifier: Apache-2.0
"""SiLU, Mish and HardSwish in every form, and what only looks like them."""

from __future__ import annotations

import pytest
from graphs import assert_found_in_every_order, functions, graph, graph_on_sizes, kinds, unmatched

from onnx_snn.rules import Kind, recognise

SILU = "g = Sigmoid(x) y = Mul(x, g)"
MISH = "p = Softplus(x) t = Tanh(p) y = Mul(x, t)"
HARD_SWISH = "a = Add(x, three) r = Clip(a, zero, six) m = Mul(x, r) y = Div(m, six)"
FORMS = {
    "silu": [SILU],
    "mish": [MISH, "e = Exp(x) a = Add(e, one) p = Log(a) t = Tanh(p) y = Mul(x, t)"],
    "hard_swish": [
        HARD_SWISH,
        HARD_SWISH.replace("Div(m, six)", "Mul(m, sixth)"),
        HARD_SWISH.replace("m = Mul(x, r) y = Div(m, six)", "s = Div(r, six) y = Mul(x, s)"),
        HARD_SWISH.replace("m = Mul(x, r) y = Div(m, six)", "s = Div(x, six) y = Mul(s, r)"),
        HARD_SWISH.replace("Clip(a, zero, six)", "Max(a, zero)").replace(
            "m = Mul(x, r)", "i = Min(r, six) m = Mul(x, i)"
        ),
        HARD_SWISH.replace("Clip(a, zero, six)", "Relu(a)").replace("m = Mul(x, r)", "i = Min(r, six) m = Mul(x, i)"),
        "g = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x) y = Mul(x, g)",
    ],
}
CASES = [(function, body) for function, bodies in FORMS.items() for body in bodies]


@pytest.mark.parametrize(("function", "body"), CASES)
def test_form_is_found_in_every_order_of_operands(function: str, body: str) -> None:
    assert_found_in_every_order(function, body)


@pytest.mark.parametrize(
    ("body", "function", "opset"),
    [
        ("y = Mish(x)", "mish", 18),
        ("y = HardSwish(x)", "hard_swish", 14),
        ("y = Swish(x)", "silu", 24),
        ("y = Swish<alpha = 1.0>(x)", "silu", 24),
        ("y = Swish<alpha = 1.702>(x)", "gelu_quick", 24),
    ],
)
def test_operator(body: str, function: str, opset: int) -> None:
    assert functions(graph(body, opset=opset)) == [function]


@pytest.mark.parametrize(
    ("body", "remaining"),
    [
        pytest.param("g = Sigmoid(x) n = Neg(x) y = Mul(n, g)", ["sigmoid"], id="silu of another x"),
        pytest.param(MISH.replace("Tanh", "Sigmoid"), ["softplus", "sigmoid"], id="mish with sigmoid"),
        pytest.param(
            "p = Softplus(x) t = Tanh(p) n = Neg(x) y = Mul(n, t)",
            ["softplus", "tanh"],
            id="mish of another x",
        ),
    ],
)
def test_gate_of_something_else_is_a_product(body: str, remaining: list[str]) -> None:
    model = graph(body)
    assert functions(model) == remaining
    assert kinds(model)[-1] is Kind.PRODUCT


@pytest.mark.parametrize("wrong", [("three", "two"), ("six", "three"), ("zero", "minushalf")])
def test_hard_swish_with_other_constants_is_reported(wrong: tuple[str, str]) -> None:
    model = graph(HARD_SWISH.replace(*wrong))
    assert functions(model) == []
    assert set(unmatched(model)) == {"Clip"}


@pytest.mark.parametrize(
    ("body", "inner", "remaining"),
    [
        (SILU, "g", ["sigmoid"]),
        (MISH, "p", ["softplus", "tanh"]),
        (MISH, "t", ["softplus", "tanh"]),
        (HARD_SWISH, "m", []),
    ],
)
def test_inner_value_needed_outside_prevents_the_match(body: str, inner: str, remaining: list[str]) -> None:
    as_output = graph(body, outputs=f"float[N,4,8] y, float[N,4,8] {inner}")
    elsewhere = graph(f"{body} also = Neg({inner})", outputs="float[N,4,8] y, float[N,4,8] also")
    assert functions(as_output) == functions(elsewhere) == remaining


@pytest.mark.parametrize(
    ("body", "remaining", "reason"),
    [
        ("y = Swish<alpha = 2.0>(x)", [], "alpha 2"),
        ("g = HardSigmoid<alpha = 0.2>(x) y = Mul(x, g)", ["hard_sigmoid(0.2,0.5)"], None),
    ],
)
def test_other_attributes(body: str, remaining: list[str], reason: str | None) -> None:
    model = graph(body, opset=24)
    assert functions(model) == remaining
    assert [reason in text for text in unmatched(model).values()] == ([] if reason is None else [True])


@pytest.mark.parametrize(("function", "body"), CASES)
def test_function_of_sizes_stays(function: str, body: str) -> None:
    found = recognise(graph_on_sizes(body))
    assert (found.sites, found.unmatched) == ([], []), function

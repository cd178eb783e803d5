# SPDX-License-Identifier: Apache-2.0
"""Powers of an activation, and what only looks like them."""

from __future__ import annotations

import pytest
from graphs import functions, graph, unmatched

from onnx_snn.neurons import functions as registry

POWERS = {
    "y = Reciprocal(x)": "reciprocal",
    "y = Div(one, x)": "reciprocal",
    "s = Sqrt(x) y = Reciprocal(s)": "rsqrt",
    "s = Sqrt(x) y = Div(one, s)": "rsqrt",
    "y = Pow(x, minushalf)": "rsqrt",
    "y = Sqrt(x)": "sqrt",
    "y = Pow(x, half)": "sqrt",
    "y = Pow(x, two)": "power(2.0)",
    "y = Mul(x, x)": "power(2.0)",
    "y = Pow(x, third)": "power(0.3333333)",
}


@pytest.mark.parametrize(("body", "function"), POWERS.items())
def test_power_is_found_and_registered(body: str, function: str) -> None:
    assert functions(graph(body)) == [function]
    assert registry.get(function).name == function


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("s = Sqrt(x) r = Reciprocal(s) y = Add(r, s)", ["sqrt", "reciprocal"]),
        ("y = Pow(x, gamma)", []),
        ("y = Pow(two, x)", []),
        ("y = Div(two, x)", []),
        ("y = Div(x, two)", []),
    ],
)
def test_near_misses_are_other_functions_or_none(body: str, found: list[str]) -> None:
    assert functions(graph(body)) == found


@pytest.mark.parametrize("body", POWERS)
def test_power_of_a_mask_stays(body: str) -> None:
    masked = body.replace("y =", "z =")
    model = graph(
        f"x = Cast <to = 1> (mask) {masked} r = Relu(h) y = Mul(r, z)", inputs="float[N,4,8] h, int64[N,4,8] mask"
    )
    assert (functions(model), unmatched(model)) == (["relu"], {})

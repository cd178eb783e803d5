# SPDX-License-Identifier: Apache-2.0
"""Functions that are one operator."""

from __future__ import annotations

import pytest
from graphs import functions, graph, graph_on_sizes, operand_orders, unmatched

from onnx_snn.neurons import functions as registry

OPERATORS = {
    "y = Tanh(x)": "tanh",
    "y = Sigmoid(x)": "sigmoid",
    "y = Erf(x)": "erf",
    "y = Softplus(x)": "softplus",
    "y = Softsign(x)": "softsign",
    "y = Relu(x)": "relu",
    "y = Exp(x)": "exp",
    "y = LeakyRelu(x)": "leaky_relu(0.01)",
    "y = LeakyRelu<alpha = 0.2>(x)": "leaky_relu(0.2)",
    "y = PRelu(x, third)": "leaky_relu(0.3333333)",
    "y = Elu(x)": "elu(1.0)",
    "y = Elu<alpha = 0.5>(x)": "elu(0.5)",
    "y = HardSigmoid(x)": "hard_sigmoid(0.2,0.5)",
    "y = HardSigmoid<alpha = 0.16666667>(x)": "hard_sigmoid(0.1666667,0.5)",
    "y = Max(x, zero)": "relu",
    "y = Clip(x, zero)": "relu",
    "y = Abs(x)": "abs",
    "y = Log(x)": "log",
    "y = Sin(x)": "sin",
    "y = Cos(x)": "cos",
    "y = Tan(x)": "tan",
    "y = Asin(x)": "asin",
    "y = Acos(x)": "acos",
    "y = Atan(x)": "atan",
    "y = Sinh(x)": "sinh",
    "y = Cosh(x)": "cosh",
    "y = Asinh(x)": "asinh",
    "y = Acosh(x)": "acosh",
    "y = Atanh(x)": "atanh",
    "y = Celu<alpha = 2.0>(x)": "celu(2.0)",
    "y = Selu(x)": "selu(1.673263,1.050701)",
    "y = Selu<alpha = 2.0, gamma = 1.5>(x)": "selu(2.0,1.5)",
    "e = Exp(x) a = Add(e, one) y = Log(a)": "softplus",
}


@pytest.mark.parametrize(("body", "function"), OPERATORS.items())
def test_operator_is_found_and_registered(body: str, function: str) -> None:
    for ordered in operand_orders(body):
        assert functions(graph(ordered)) == [function]
    assert registry.get(function).name == function


@pytest.mark.parametrize("body", OPERATORS)
def test_operator_on_sizes_stays(body: str) -> None:
    model = graph_on_sizes(body)
    assert (functions(model), unmatched(model)) == ([], {})


@pytest.mark.parametrize(
    ("body", "operator", "reason"),
    [
        ("y = PRelu(x, gamma)", "PRelu", "a slope for each channel"),
        ("y = Max(x, one)", "Max", "compares and selects"),
        ("y = Clip(x, zero, six)", "Clip", "compares and selects"),
        ("y = MaxPool<kernel_shape = [2]>(x)", "MaxPool", "compares and selects"),
        ("y = Round(x)", "Round", "no rule matches Round"),
        ("y = Pow(x, gamma)", "Pow", "not one constant number"),
        ("y = Pow(x, zero)", "Pow", "its exponent is 0"),
        ("y = Pow(two, x)", "Pow", "exponent is an activation"),
        ("n = Neg(x) y = Div(n, x)", "Div", "divides by an activation"),
        (
            "y = com.microsoft.nchwc.Conv(x, beta)",
            "Conv",
            "at the level ORT_ENABLE_EXTENDED",
        ),
        ("y = acme.Frobnicate(x)", "Frobnicate", "acme.Frobnicate"),
        ("y = com.microsoft.BiasGelu(x, beta)", "BiasGelu", "com.microsoft.BiasGelu"),
    ],
)
def test_what_no_rule_claims_is_reported_with_a_reason(body: str, operator: str, reason: str) -> None:
    reasons = unmatched(graph(body))
    assert set(reasons) == {operator}
    assert reason in reasons[operator]


@pytest.mark.parametrize(
    "body",
    [
        "y = Add(x, beta)",
        "y = Mul(x, gamma)",
        "y = Div(x, two)",
        "n = Neg(x) y = Sub(x, n)",
        "y = Transpose<perm = [0, 1, 2]>(x)",
        "s = Shape(x) f = Cast<to = 1>(s) r = Sqrt(f) m = ReduceMax<keepdims = 0>(r) y = Mul(x, m)",
    ],
)
def test_linear_operators_and_shape_arithmetic_are_not_reported(body: str) -> None:
    model = graph(body)
    assert (functions(model), unmatched(model)) == ([], {})

# SPDX-License-Identifier: Apache-2.0
"""The functions that neurons are fitted to: their formulas, and the registry that names them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.errors import ConfigError
from onnx_snn.neurons import functions
from onnx_snn.neurons.functions import ScalarFunction, get, names, register


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def softplus(x: float) -> float:
    return math.log1p(math.exp(-abs(x))) + max(x, 0.0)


REFERENCES: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "acos": math.acos,
    "acosh": math.acosh,
    "asin": math.asin,
    "asinh": math.asinh,
    "atan": math.atan,
    "atanh": math.atanh,
    "celu": lambda x: x if x >= 0 else math.expm1(x),
    "celu(2.0)": lambda x: x if x >= 0 else 2.0 * math.expm1(x / 2.0),
    "cos": math.cos,
    "cosh": math.cosh,
    "elu": lambda x: x if x >= 0 else math.exp(x) - 1,
    "elu(0.5)": lambda x: x if x >= 0 else 0.5 * (math.exp(x) - 1),
    "erf": math.erf,
    "exp": math.exp,
    "exp2": lambda x: 2.0**x,
    "gelu": lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)),
    "gelu_quick": lambda x: x * sigmoid(1.702 * x),
    "gelu_tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "hard_sigmoid": lambda x: min(max(0.2 * x + 0.5, 0.0), 1.0),
    "hard_sigmoid(0.1666,0.5)": lambda x: min(max(0.1666 * x + 0.5, 0.0), 1.0),
    "hard_swish": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
    "identity": lambda x: x,
    "leaky_relu": lambda x: x if x >= 0 else 0.01 * x,
    "leaky_relu(0.1)": lambda x: x if x >= 0 else 0.1 * x,
    "log": math.log,
    "mish": lambda x: x * math.tanh(softplus(x)),
    "power": lambda x: x * x,
    "power(-1.5)": lambda x: x**-1.5,
    "power(0.75)": lambda x: x**0.75,
    "power(3.0)": lambda x: x * x * x,
    "reciprocal": lambda x: 1 / x,
    "relu": lambda x: max(x, 0.0),
    "rsqrt": lambda x: x**-0.5,
    "selu": lambda x: 1.050701 * (x if x >= 0 else 1.673263 * math.expm1(x)),
    "selu(2.0,1.5)": lambda x: 1.5 * (x if x >= 0 else 2.0 * math.expm1(x)),
    "sigmoid": sigmoid,
    "sin": math.sin,
    "sinh": math.sinh,
    "sqrt": math.sqrt,
    "silu": lambda x: x * sigmoid(x),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "tan": math.tan,
    "tanh": math.tanh,
}
"""The functions once more, for one number and by the standard library."""


def test_every_function_has_a_reference() -> None:
    assert set(names()) <= set(REFERENCES)


@pytest.mark.parametrize("name", REFERENCES)
def test_formula(name: str) -> None:
    function = get(name)
    x = np.linspace(*function.domain, 1001)
    expected = np.array([REFERENCES[name](float(value)) for value in x])
    # A dozen roundings of float64; the reference cancels where GELU's tail is lost in 1 + erf.
    np.testing.assert_allclose(function.formula(x), expected, rtol=3e-15, atol=1e-14)


@given(st.sampled_from([name for name in names() if get(name).odd]), st.floats(0.0, 1e3))
def test_odd_functions_are_odd(name: str, x: float) -> None:
    function = get(name)
    x = min(x, function.limits[1], 600.0)
    np.testing.assert_array_equal(function.formula(np.array([-x])), -function.formula(np.array([x])))


def test_functions_are_finite_far_out() -> None:
    far = np.array([-1e4, -700.0, 700.0, 1e4])
    for name in set(names()) - {"cosh", "exp", "exp2", "sinh"}:
        function = get(name)
        inside = far[(far >= function.limits[0]) & (far <= function.limits[1])]
        assert function.fixed_domain or np.isfinite(function.formula(inside)).all(), name


@pytest.mark.parametrize("name", REFERENCES)
def test_functions_are_finite_within_their_limits(name: str) -> None:
    function = get(name)
    ends = np.clip(np.array(function.domain if function.fixed_domain else function.limits), -2.0, 2.0)
    assert np.isfinite(function.formula(ends)).all()
    assert function.limits[0] <= function.domain[0] < function.domain[1] <= function.limits[1]


@given(st.floats(2.0**-149, 2.0**127))
def test_reduced_arguments_lie_in_the_domain(v: float) -> None:
    for function in [get(name) for name in names() if get(name).reduced is not None]:
        assert function.reduced is not None
        m = float(function.reduced(np.array([v]))[0])
        assert function.domain[0] <= m <= function.domain[1], function.name


def test_a_neuron_is_not_asked_for_what_has_no_mantissa() -> None:
    for name in ("sqrt", "rsqrt", "log"):
        reduced = get(name).reduced
        assert reduced is not None
        assert np.isnan(reduced(np.array([0.0, -1.0]))).all()
    reciprocal = get("reciprocal").reduced
    assert reciprocal is not None
    np.testing.assert_array_equal(reciprocal(np.array([0.0, -3.0])), [np.nan, 0.75])


def test_family_without_parameters_is_onnx_default() -> None:
    x = np.linspace(-9.0, 9.0, 101)
    np.testing.assert_array_equal(get("leaky_relu").formula(x), get("leaky_relu(0.01)").formula(x))
    np.testing.assert_array_equal(get("hard_sigmoid").formula(x), get("hard_sigmoid(0.2, 0.5)").formula(x))


def test_domain_of_hard_sigmoid_follows_its_ramp() -> None:
    function = get("hard_sigmoid(0.25,0.75)")
    assert function.origin == -1.0
    assert function.domain == (-5.0, 3.0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gleu", "did you mean gelu"),
        ("quux", "known: abs, acos"),
        ("relu(1)", "there is no function"),
        ("leaky_relu()", "takes 1 finite number"),
        ("leaky_relu(1,2)", "takes 1 finite number"),
        ("elu(nan)", "takes 1 finite number"),
        ("elu(one)", "takes 1 finite number"),
        ("hard_sigmoid(0,0.5)", "the slope of hard_sigmoid is 0.0"),
    ],
)
def test_unknown_name(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        get(name)


def test_register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "_registry", dict(functions._registry))
    square = ScalarFunction("square", np.square, (-4.0, 4.0))
    register(square)
    assert get("square") is square
    assert "square" in names()
    with pytest.raises(ConfigError, match="'square' is registered already"):
        register(square)


@pytest.mark.parametrize(
    ("name", "message"), [("gelu", "already"), ("elu", "already"), ("elu(2.0)", "not an identifier")]
)
def test_register_refuses_name(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        register(ScalarFunction(name, np.square, (-4.0, 4.0)))


@pytest.mark.parametrize("domain", [(1.0, 1.0), (2.0, -2.0), (-np.inf, 0.0), (0.0, np.nan)])
def test_domain_must_be_finite(domain: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="expected finite lo < hi"):
        ScalarFunction("square", np.square, domain)


def test_origin_must_lie_in_domain() -> None:
    with pytest.raises(ConfigError, match=r"origin 0\.0 outside the domain"):
        ScalarFunction("log", np.log, (1.0, 2.0))

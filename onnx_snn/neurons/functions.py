# SPDX-License-Identifier: Apache-2.0
"""The scalar functions that a neuron can be fitted to, by name.

A `ScalarFunction` is a formula in float64 with the facts that a fit needs: the range of its arguments, the most
frequent one, and whether absolute or relative errors are minimized. The range of activation functions comes from
calibration; the primitives of softmax and of the norms (`exp2`, `reciprocal`, `rsqrt`) take mantissas of a fixed range.

The name of a member of a family includes its parameters: ``get("leaky_relu(0.1)")``; ``get("leaky_relu")`` has the
default of ONNX. `register` adds a function of the user's own:

    register(ScalarFunction("square", np.square, domain=(-4.0, 4.0)))
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.errors import ConfigError

Formula = Callable[[Float64], Float64]


@dataclass(frozen=True)
class ScalarFunction:
    """A function of one variable with the facts that a fit needs.

    Attributes:
        name: its key in the registry.
        formula: the function, vectorised over float64 arrays of any shape.
        domain: range (lo, hi) of the fit without calibration, with uniform arguments.
        origin: the most frequent argument. Bases run outward from it, so that few spikes fall there.
        odd: whether f(-x) = -f(x). It is then fitted on magnitudes and mirrored, which doubles the number of segments.
        relative: whether the relative error is minimized instead of the absolute one.
        fixed_domain: whether arguments are mantissas, all of which are in the domain, so that no calibration is needed.

    Raises:
        ConfigError: the domain is empty or not finite, or does not hold the origin.
    """

    name: str
    formula: Formula
    domain: tuple[float, float]
    origin: float = 0.0
    odd: bool = False
    relative: bool = False
    fixed_domain: bool = False

    def __post_init__(self) -> None:
        lo, hi = self.domain
        if not (math.isfinite(lo) and math.isfinite(hi) and lo < hi):
            raise ConfigError(f"function {self.name!r} has the domain {self.domain}; expected finite lo < hi")
        if not lo <= self.origin <= hi:
            raise ConfigError(f"function {self.name!r} has its origin {self.origin} outside the domain {self.domain}")


def register(function: ScalarFunction) -> None:
    """Add `function` to the registry under its name.

    Raises:
        ConfigError: the name is taken, or is not a plain identifier.
    """
    if not function.name.isidentifier():
        raise ConfigError(
            f"function name {function.name!r} is not an identifier; choose a name of letters, digits and underscores"
        )
    if function.name in names():
        raise ConfigError(f"function {function.name!r} is registered already; choose another name")
    _registry[function.name] = function


def get(name: str) -> ScalarFunction:
    """The function with the name `name`, which may be that of a member of a family, such as ``"elu(1.0)"``.

    Raises:
        ConfigError: there is no such function, or the parameters do not fit the family.
    """
    if name in _registry:
        return _registry[name]
    match = re.fullmatch(r"(\w+)(?:\((.*)\))?", name)
    if match and match[1] in _families:
        return _member(name, match[1], match[2])
    close = difflib.get_close_matches(name, names(), n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names())}"
    raise ConfigError(f"there is no function {name!r}; {hint}")


def names() -> list[str]:
    """Names of all functions and families, sorted."""
    return sorted([*_registry, *_families])


def registered() -> frozenset[str]:
    """Names of the registered functions that are not built in."""
    return frozenset(_registry) - _built_in


def _member(name: str, family: str, parameters: str | None) -> ScalarFunction:
    build, defaults = _families[family]
    try:
        values = defaults if parameters is None else tuple(float(value) for value in parameters.split(","))
    except ValueError:
        values = ()
    if len(values) != len(defaults) or not all(map(math.isfinite, values)):
        raise ConfigError(f"{name!r}: {family} takes {len(defaults)} finite number(s), such as {family}{defaults}")
    return build(name, *values)


# Formulas ---------------------------------------------------------------------------------------------

_elementwise_erf = np.frompyfunc(math.erf, 1, 1)


def _erf(x: Float64) -> Float64:
    return np.asarray(_elementwise_erf(x), np.float64)


def _sigmoid(x: Float64) -> Float64:
    return np.exp(-_softplus(-x))


def _softplus(x: Float64) -> Float64:
    return np.logaddexp(0.0, x)


def _gelu(x: Float64) -> Float64:
    return 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))


def _gelu_tanh(x: Float64) -> Float64:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _hard_sigmoid(alpha: float, beta: float) -> Formula:
    return lambda x: np.clip(alpha * x + beta, 0.0, 1.0)


def _elu(alpha: float) -> Formula:
    return lambda x: np.where(x < 0.0, alpha * np.expm1(np.minimum(x, 0.0)), x)


def _hard_sigmoid_member(name: str, alpha: float, beta: float) -> ScalarFunction:
    if alpha <= 0.0:
        raise ConfigError(f"{name!r}: the slope of hard_sigmoid is {alpha}; expected a positive number")
    centre, ramp = (0.5 - beta) / alpha, 1.0 / alpha
    domain = (centre - ramp, centre + ramp)  # its middle half is the ramp
    return ScalarFunction(name, _hard_sigmoid(alpha, beta), domain, origin=centre)


_registry: dict[str, ScalarFunction] = {}
"""Registered functions by name."""

_families: dict[str, tuple[Callable[..., ScalarFunction], tuple[float, ...]]] = {
    "elu": (lambda name, alpha: ScalarFunction(name, _elu(alpha), (-10.0, 10.0)), (1.0,)),
    "hard_sigmoid": (_hard_sigmoid_member, (0.2, 0.5)),
    "leaky_relu": (
        lambda name, alpha: ScalarFunction(name, lambda x: np.where(x < 0.0, alpha * x, x), (-10.0, 10.0)),
        (0.01,),
    ),
}
"""Constructor of each parametric family, such as leaky_relu(alpha), and its default parameters in ONNX."""

_MANTISSA = {"relative": True, "fixed_domain": True}
"""Fields of the functions of mantissas."""

# The origins of the primitives are the medians of their arguments: fractions are uniform, mantissas logarithmic.
for _function in (
    ScalarFunction("gelu", _gelu, (-120.0, 10.0)),
    ScalarFunction("gelu_tanh", _gelu_tanh, (-120.0, 10.0)),
    ScalarFunction("gelu_quick", lambda x: x * _sigmoid(1.702 * x), (-120.0, 10.0)),
    ScalarFunction("silu", lambda x: x * _sigmoid(x), (-20.0, 20.0)),
    ScalarFunction("mish", lambda x: x * np.tanh(_softplus(x)), (-20.0, 20.0)),
    ScalarFunction("tanh", np.tanh, (-8.0, 8.0), odd=True),
    ScalarFunction("sigmoid", _sigmoid, (-12.0, 12.0)),
    ScalarFunction("erf", _erf, (-4.0, 4.0), odd=True),
    ScalarFunction("identity", np.positive, (-8.0, 8.0), odd=True),
    ScalarFunction("softplus", _softplus, (-20.0, 20.0)),
    ScalarFunction("softsign", lambda x: x / (1.0 + np.abs(x)), (-20.0, 20.0), odd=True),
    ScalarFunction("relu", lambda x: np.maximum(x, 0.0), (-10.0, 10.0)),
    ScalarFunction("hard_swish", lambda x: x * _hard_sigmoid(1.0 / 6.0, 0.5)(x), (-10.0, 10.0)),
    ScalarFunction("exp", np.exp, (-10.0, 4.0)),
    ScalarFunction("exp2", np.exp2, (0.0, 1.0), origin=0.5, **_MANTISSA),
    ScalarFunction("reciprocal", np.reciprocal, (0.5, 1.0), origin=math.sqrt(0.5), **_MANTISSA),
    ScalarFunction("rsqrt", lambda x: 1.0 / np.sqrt(x), (0.5, 2.0), origin=1.0, **_MANTISSA),
):
    register(_function)

_built_in = frozenset(_registry)

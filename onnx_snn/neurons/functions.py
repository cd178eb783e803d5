# SPDX-License-Identifier: Apache-2.0
"""The scalar functions that a neuron can be fitted to, by name.

A `ScalarFunction` is a formula in float64 with the facts that a fit needs: the range of its arguments, the most
frequent one, and whether absolute or relative errors are minimized. The range of activation functions comes from
calibration; the primitives of softmax and of the norms (`exp2`, `reciprocal`, `rsqrt`) take mantissas of a fixed range.
So do `sqrt`, `log` and whole powers, and `sin` and `cos` take angles of one period: `reduced` says what a neuron sees
of an argument.

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
from typing import Any, TypeAlias

import numpy as np

from onnx_snn.errors import ConfigError
from onnx_snn.neurons import formulas
from onnx_snn.neurons.formulas import Formula

LARGEST_WHOLE_POWER = 8
"""Largest magnitude of a whole exponent whose powers of mantissas, down to 2**-8, a neuron resolves."""


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
        limits: range (lo, hi) of the arguments, ends included, at which neurons can be fitted to it.
        reduced: what a neuron sees of any argument, as a function to the domain, NaN where the neuron is not asked;
            None where it sees the argument itself.
        nonnegative: whether no value is below 0. What a neuron errs below it is cut off, so that roots stay real.

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
    limits: tuple[float, float] = (-math.inf, math.inf)
    reduced: Formula | None = None
    nonnegative: bool = False

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


def whole_power(name: str) -> int | None:
    """The exponent of the function called `name` where it is a power that a neuron computes of mantissas."""
    match = re.fullmatch(r"power\((.*)\)", name)
    exponent = float(match[1]) if match else 0.0
    return int(exponent) if exponent.is_integer() and 1 < abs(exponent) <= LARGEST_WHOLE_POWER else None


def _member(name: str, family: str, parameters: str | None) -> ScalarFunction:
    build, defaults = _families[family]
    try:
        values = defaults if parameters is None else tuple(float(value) for value in parameters.split(","))
    except ValueError:
        values = ()
    if len(values) != len(defaults) or not all(map(math.isfinite, values)):
        raise ConfigError(f"{name!r}: {family} takes {len(defaults)} finite number(s), such as {family}{defaults}")
    return build(name, *values)


# Formulas and families --------------------------------------------------------------------------------


def _hard_sigmoid_member(name: str, alpha: float, beta: float) -> ScalarFunction:
    if alpha <= 0.0:
        raise ConfigError(f"{name!r}: the slope of hard_sigmoid is {alpha}; expected a positive number")
    centre, ramp = (0.5 - beta) / alpha, 1.0 / alpha
    domain = (centre - ramp, centre + ramp)  # its middle half is the ramp
    return ScalarFunction(name, formulas.hard_sigmoid(alpha, beta), domain, origin=centre)


def _power_member(name: str, exponent: float) -> ScalarFunction:
    """x**exponent where it is real and finite: from 0 on unless the exponent is whole, above 0 if it is negative.

    A whole power of a mantissa and that of the power of two beside it are the power of their product.
    """
    if whole_power(name) is not None:
        power = {"domain": (0.5, 1.0), "origin": math.sqrt(0.5), "reduced": formulas.mantissa, **_MANTISSA}
        return ScalarFunction(name, lambda x: np.power(x, exponent), **power)
    limits, domain = (-math.inf, math.inf), (-4.0, 4.0)
    if exponent < 0.0:
        limits, domain = (formulas.LEAST_BASE, math.inf), (0.5, 2.0)
    elif not exponent.is_integer():
        limits, domain = (0.0, math.inf), (0.0, 4.0)
    odd = exponent > 0.0 and exponent % 2.0 == 1.0
    origin = max(domain[0], 0.0)
    nonnegative = limits[0] >= 0.0 or not odd
    return ScalarFunction(
        name,
        lambda x: np.power(x, exponent),
        domain,
        origin=origin,
        odd=odd,
        limits=limits,
        nonnegative=nonnegative,
    )


def _family(formula: Callable[..., Formula], *defaults: float) -> Family:
    """The family of `formula`, a function of the parameters, on a range about 0."""
    return (lambda name, *values: ScalarFunction(name, formula(*values), (-10.0, 10.0))), defaults


Family: TypeAlias = tuple[Callable[..., ScalarFunction], tuple[float, ...]]

_registry: dict[str, ScalarFunction] = {}
"""Registered functions by name."""

_families: dict[str, Family] = {
    "celu": _family(formulas.celu, 1.0),
    "elu": _family(formulas.elu, 1.0),
    "hard_sigmoid": (_hard_sigmoid_member, (0.2, 0.5)),
    "leaky_relu": _family(formulas.leaky_relu, 0.01),
    "power": (_power_member, (2.0,)),
    "selu": _family(formulas.selu, 1.673263, 1.050701),
}
"""Constructor of each parametric family, such as leaky_relu(alpha), and its default parameters in ONNX."""

_MANTISSA: dict[str, Any] = {"relative": True, "fixed_domain": True}
"""Fields of the functions of mantissas."""

_PERIOD = (-math.pi, math.pi)

_OCTAVE = (-0.5 * math.log(2.0), 0.5 * math.log(2.0))

# The origins of the primitives are the medians of their arguments: fractions are uniform, mantissas logarithmic.
for _function in (
    ScalarFunction("gelu", formulas.gelu, (-120.0, 10.0)),
    ScalarFunction("gelu_tanh", formulas.gelu_tanh, (-120.0, 10.0)),
    ScalarFunction("gelu_quick", lambda x: x * formulas.sigmoid(1.702 * x), (-120.0, 10.0)),
    ScalarFunction("silu", lambda x: x * formulas.sigmoid(x), (-20.0, 20.0)),
    ScalarFunction("mish", lambda x: x * np.tanh(formulas.softplus(x)), (-20.0, 20.0)),
    ScalarFunction("tanh", np.tanh, (-8.0, 8.0), odd=True),
    ScalarFunction("sigmoid", formulas.sigmoid, (-12.0, 12.0)),
    ScalarFunction("erf", formulas.erf, (-4.0, 4.0), odd=True),
    ScalarFunction("identity", np.positive, (-8.0, 8.0), odd=True),
    ScalarFunction("abs", np.abs, (-8.0, 8.0), nonnegative=True),
    ScalarFunction("softplus", formulas.softplus, (-20.0, 20.0)),
    ScalarFunction("softsign", lambda x: x / (1.0 + np.abs(x)), (-20.0, 20.0), odd=True),
    ScalarFunction("relu", lambda x: np.maximum(x, 0.0), (-10.0, 10.0)),
    ScalarFunction("hard_swish", lambda x: x * formulas.hard_sigmoid(1.0 / 6.0, 0.5)(x), (-10.0, 10.0)),
    ScalarFunction("exp", np.exp, _OCTAVE, reduced=formulas.within_octave, **_MANTISSA),
    ScalarFunction("sinh", np.sinh, (-4.0, 4.0), odd=True),
    ScalarFunction("cosh", np.cosh, (-4.0, 4.0)),
    ScalarFunction("tan", np.tan, (-1.2, 1.2), odd=True, limits=(-1.5, 1.5)),
    ScalarFunction("asin", np.arcsin, (-1.0, 1.0), odd=True, limits=(-1.0, 1.0)),
    ScalarFunction("acos", np.arccos, (-1.0, 1.0), limits=(-1.0, 1.0)),
    ScalarFunction("atan", np.arctan, (-10.0, 10.0), odd=True),
    ScalarFunction("asinh", np.arcsinh, (-10.0, 10.0), odd=True),
    ScalarFunction("acosh", np.arccosh, (1.0, 10.0), origin=1.0, limits=(1.0, math.inf)),
    ScalarFunction("atanh", np.arctanh, (-0.96, 0.96), odd=True, limits=(-formulas.BELOW_ONE, formulas.BELOW_ONE)),
    ScalarFunction("sin", np.sin, _PERIOD, odd=True, limits=_PERIOD, reduced=formulas.angle),
    ScalarFunction("cos", np.cos, _PERIOD, limits=_PERIOD, reduced=formulas.angle),
    ScalarFunction("exp2", np.exp2, (0.0, 1.0), origin=0.5, **_MANTISSA),
    ScalarFunction(
        "reciprocal", np.reciprocal, (0.5, 1.0), origin=math.sqrt(0.5), reduced=formulas.mantissa, **_MANTISSA
    ),
    ScalarFunction(
        "rsqrt", lambda x: 1.0 / np.sqrt(x), (0.5, 2.0), origin=1.0, reduced=formulas.even_mantissa, **_MANTISSA
    ),
    ScalarFunction("sqrt", np.sqrt, (0.5, 2.0), origin=1.0, reduced=formulas.even_mantissa, **_MANTISSA),
    ScalarFunction("log", np.log, (0.75, 1.5), origin=1.0, reduced=formulas.centred_mantissa, fixed_domain=True),
):
    register(_function)

_built_in = frozenset(_registry)

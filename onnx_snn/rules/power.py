# SPDX-License-Identifier: Apache-2.0
"""Powers of an activation.

    reciprocal   Reciprocal(x)         1 / x         Pow(x, -1)
    rsqrt        Reciprocal(Sqrt(x))   1 / Sqrt(x)   Pow(x, -0.5)
    sqrt         Sqrt(x)                             Pow(x, 0.5)
    power(a)                                         Pow(x, a)     Mul(x, x)

Conditions: the exponent is one constant; a larger formula (a norm, a GELU) has claimed the powers inside it before.
"""

from __future__ import annotations

from typing import Any

from onnx_snn.graph.constants import scalar
from onnx_snn.rules.elementwise import call
from onnx_snn.rules.rule import Match, NoMatch, Rule, computes

_OF_MANTISSAS = {-1.0: "reciprocal", -0.5: "rsqrt", 0.5: "sqrt"}
"""Functions that a neuron computes for arguments of any magnitude, by exponent."""


def _reciprocal(op: Any, x: Any) -> Any:
    return op.Reciprocal(x)


def _one_by(op: Any, x: Any) -> Any:
    return op.Div(1, x)


def _reciprocal_root(op: Any, x: Any) -> Any:
    return op.Reciprocal(op.Sqrt(x))


def _one_by_root(op: Any, x: Any) -> Any:
    return op.Div(1, op.Sqrt(x))


def _root(op: Any, x: Any) -> Any:
    return op.Sqrt(x)


def _power(op: Any, x: Any, exponent: Any) -> Any:
    return op.Pow(x, exponent)


def _square(op: Any, x: Any) -> Any:
    return op.Mul(x, x)


def _power_function(match: Match) -> str:
    exponent = scalar(match.values["exponent"])
    if exponent is None:
        raise NoMatch("its exponent is not one constant number, but a neuron computes one function")
    if exponent == 0.0:
        raise NoMatch("its exponent is 0: it computes 1 whatever its argument is")
    return _OF_MANTISSAS.get(exponent) or call("power", exponent)


RULES = (
    Rule("reciprocal_root", (_reciprocal_root, _one_by_root), computes("rsqrt")),
    Rule("reciprocal", (_reciprocal, _one_by), computes("reciprocal")),
    Rule("root", (_root,), computes("sqrt")),
    Rule("power", (_power,), computes(_power_function)),
    Rule("square", (_square,), computes(call("power", 2.0))),
)

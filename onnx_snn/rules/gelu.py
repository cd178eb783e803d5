# SPDX-License-Identifier: Apache-2.0
"""GELU in the forms that exporters write.

    gelu         x * 0.5 * (1 + Erf(x / sqrt(2)))                                  Gelu
    gelu_tanh    x * 0.5 * (1 + Tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))        Gelu(approximate="tanh")
    gelu_quick   x * Sigmoid(1.702 * x)                                            Swish(alpha=1.702)

Conditions: the products in any order and association, 0.5 also as a division by 2, sqrt(2) also as a
product with its reciprocal, x**3 as Pow or products; also onnxruntime's Gelu, QuickGelu with alpha 1.702,
and FastGelu without a bias.
"""

from __future__ import annotations

import math
from typing import Any

from onnx_snn.graph.domains import MICROSOFT
from onnx_snn.rules.notation import Formula
from onnx_snn.rules.rule import Match, NoMatch, Rule, computes

_CUBE = 0.044715
"""Coefficient of x**3 in the tanh approximation of GELU (Hendrycks and Gimpel, arXiv:1606.08415)."""

_ROOT = math.sqrt(2 / math.pi)
"""Factor of the argument of tanh in that approximation, sqrt(2 / pi)."""


def _halved(op: Any, y: Any) -> Any:
    return op.either(op.Mul(y, 0.5), op.Div(y, 2))


def _associations(gate: Formula) -> tuple[Formula, ...]:
    """The formulas of x * 0.5 * (1 + gate(x)), one for each order of the two multiplications."""

    def half_last(op: Any, x: Any) -> Any:
        return _halved(op, op.Mul(x, op.Add(gate(op, x), 1)))

    def half_on_gate(op: Any, x: Any) -> Any:
        return op.Mul(x, _halved(op, op.Add(gate(op, x), 1)))

    def half_on_x(op: Any, x: Any) -> Any:
        return op.Mul(op.Add(gate(op, x), 1), _halved(op, x))

    def distributed(op: Any, x: Any) -> Any:
        return op.Mul(x, op.Add(_halved(op, gate(op, x)), 0.5))

    return half_last, half_on_gate, half_on_x, distributed


def _erf(op: Any, x: Any) -> Any:
    return op.Erf(op.either(op.Div(x, math.sqrt(2)), op.Mul(x, math.sqrt(0.5))))


def _tanh(op: Any, x: Any) -> Any:
    cube = op.either(op.Pow(x, 3), op.Mul(op.either(op.Mul(x, x), op.Pow(x, 2)), x))
    return op.Tanh(op.Mul(op.Add(x, op.Mul(cube, _CUBE)), _ROOT))


def _tanh_cube_unfolded(op: Any, x: Any) -> Any:
    return op.Tanh(op.Mul(op.Add(x, op.Mul(op.Mul(op.Mul(x, _CUBE), x), x)), _ROOT))


def _tanh_factored(op: Any, x: Any) -> Any:
    square = op.either(op.Mul(op.Mul(x, _CUBE), x), op.Mul(op.either(op.Mul(x, x), op.Pow(x, 2)), _CUBE))
    return op.Tanh(op.Mul(op.Mul(x, _ROOT), op.Add(square, 1)))


def _quick(op: Any, x: Any) -> Any:
    return op.Mul(x, op.Sigmoid(op.Mul(x, 1.702)))


def _native(op: Any, x: Any) -> Any:
    return op.Gelu(x)


def _contrib(op: Any, x: Any) -> Any:
    return op.Gelu(x, _domain=MICROSOFT)


def _contrib_fast(op: Any, x: Any) -> Any:
    return op.FastGelu(x, _domain=MICROSOFT, _allow_other_inputs=True)


def _contrib_quick(op: Any, x: Any) -> Any:
    return op.QuickGelu(x, _domain=MICROSOFT)


def _approximation(match: Match) -> str:
    return "gelu_tanh" if match.root.attributes.get_string("approximate", "none") == "tanh" else "gelu"


def _fast_function(match: Match) -> str:
    if len(match.root.inputs) > 1 and match.root.inputs[1] is not None:
        raise NoMatch("FastGelu has a bias, which is supported only as a separate Add before it")
    return "gelu_tanh"


def _quick_function(match: Match) -> str:
    alpha = match.root.attributes.get_float("alpha", 1.702)
    if abs(alpha - 1.702) > 1e-3:
        raise NoMatch(f"QuickGelu has alpha {alpha:g}; only 1.702 is supported")
    return "gelu_quick"


RULES = (
    Rule("gelu", _associations(_erf), computes("gelu")),
    Rule("gelu_tanh", _associations(_tanh), computes("gelu_tanh")),
    Rule("gelu_tanh_unfolded", _associations(_tanh_cube_unfolded), computes("gelu_tanh")),
    Rule("gelu_tanh_factored", _associations(_tanh_factored), computes("gelu_tanh")),
    Rule("gelu_quick", (_quick,), computes("gelu_quick")),
    Rule("gelu_native", (_native,), computes(_approximation)),
    Rule("gelu_contrib", (_contrib,), computes("gelu")),
    Rule("gelu_contrib_fast", (_contrib_fast,), computes(_fast_function)),
    Rule("gelu_contrib_quick", (_contrib_quick,), computes(_quick_function)),
)

# SPDX-License-Identifier: Apache-2.0
"""Activations of the form x * gate(x).

    silu         x * Sigmoid(x)                                                    Swish
    mish         x * Tanh(Softplus(x))                                             Mish
    hard_swish   x * Clip(x + 3, 0, 6) / 6, x * HardSigmoid(x, 1/6, 0.5)           HardSwish

Conditions: Softplus also as Log(1 + Exp(x)); Clip also as Min and Max; the 6 divided anywhere or
multiplied as its reciprocal; Swish with alpha 1 or 1.702 (`gelu_quick`).
"""

from __future__ import annotations

import math
from typing import Any

from onnx_snn.rules.rule import Match, NoMatch, Rule, computes


def _silu(op: Any, x: Any) -> Any:
    return op.Mul(x, op.Sigmoid(x))


def _swish(op: Any, x: Any) -> Any:
    return op.Swish(x)


def _mish(op: Any, x: Any) -> Any:
    return op.Mul(x, op.Tanh(op.either(op.Softplus(x), op.Log(op.Add(op.Exp(x), 1)))))


def _mish_native(op: Any, x: Any) -> Any:
    return op.Mish(x)


def _sixth(op: Any, y: Any) -> Any:
    return op.either(op.Div(y, 6), op.Mul(y, 1 / 6))


def _relu6_shifted(op: Any, x: Any) -> Any:
    shifted = op.Add(x, 3)
    return op.either(op.Clip(shifted, 0, 6), op.Min(op.Max(shifted, 0), 6), op.Min(op.Relu(shifted), 6))


def _hard_swish(op: Any, x: Any) -> Any:
    return _sixth(op, op.Mul(x, _relu6_shifted(op, x)))


def _hard_swish_sixth_on_gate(op: Any, x: Any) -> Any:
    return op.Mul(x, _sixth(op, _relu6_shifted(op, x)))


def _hard_swish_sixth_on_x(op: Any, x: Any) -> Any:
    return op.Mul(_relu6_shifted(op, x), _sixth(op, x))


def _hard_swish_native(op: Any, x: Any) -> Any:
    return op.HardSwish(x)


def _hard_swish_of_hard_sigmoid(op: Any, x: Any) -> Any:
    return op.Mul(x, op.HardSigmoid(x))


def _swish_function(match: Match) -> str:
    alpha = match.root.attributes.get_float("alpha", 1.0)
    for known, function in ((1.0, "silu"), (1.702, "gelu_quick")):
        if math.isclose(alpha, known, rel_tol=1e-3):
            return function
    raise NoMatch(f"Swish has alpha {alpha:g}; only 1 and 1.702 are supported")


def _hard_sigmoid_function(match: Match) -> str:
    (gate,) = match.all("HardSigmoid")
    alpha, beta = gate.attributes.get_float("alpha", 0.2), gate.attributes.get_float("beta", 0.5)
    if not (math.isclose(alpha, 1 / 6, rel_tol=1e-3) and math.isclose(beta, 0.5, rel_tol=1e-3)):
        raise NoMatch(f"HardSigmoid has alpha {alpha:g} and beta {beta:g}; HardSwish has 1/6 and 0.5")
    return "hard_swish"


RULES = (
    Rule("silu", (_silu,), computes("silu")),
    Rule("swish", (_swish,), computes(_swish_function)),
    Rule("mish", (_mish, _mish_native), computes("mish")),
    Rule(
        "hard_swish",
        (_hard_swish, _hard_swish_sixth_on_gate, _hard_swish_sixth_on_x, _hard_swish_native),
        computes("hard_swish"),
    ),
    Rule("hard_swish_of_hard_sigmoid", (_hard_swish_of_hard_sigmoid,), computes(_hard_sigmoid_function)),
)

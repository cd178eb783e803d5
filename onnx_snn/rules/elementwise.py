# SPDX-License-Identifier: Apache-2.0
"""Functions of one activation that are one operator.

    tanh sigmoid erf softplus softsign relu exp abs    Tanh, Sigmoid, Erf, Softplus, Softsign, Relu, Exp, Abs
    log sin cos tan asin acos atan                     Log, Sin, Cos, Tan, Asin, Acos, Atan
    sinh cosh asinh acosh atanh                        Sinh, Cosh, Asinh, Acosh, Atanh
    leaky_relu(a) elu(a) celu(a) selu(a,g)             LeakyRelu, Elu, Celu, Selu with their attributes
    hard_sigmoid(a,b)                                  HardSigmoid with its attributes
    leaky_relu(a)                                      PRelu with one slope for all channels
    relu                                               Max(x, 0), Clip(x, 0)
    softplus                                           Log(1 + Exp(x))

Conditions: none; a larger formula (GELU, SiLU, ...) has claimed the operators inside it before.
"""

from __future__ import annotations

from typing import Any

from onnx_snn.graph.constants import scalar
from onnx_snn.rules.notation import Formula
from onnx_snn.rules.rule import Match, NoMatch, Rule, computes

_PLAIN = {
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Erf": "erf",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Relu": "relu",
    "Exp": "exp",
    "Abs": "abs",
    "Log": "log",
    "Sin": "sin",
    "Cos": "cos",
    "Tan": "tan",
    "Asin": "asin",
    "Acos": "acos",
    "Atan": "atan",
    "Sinh": "sinh",
    "Cosh": "cosh",
    "Asinh": "asinh",
    "Acosh": "acosh",
    "Atanh": "atanh",
}
"""Function name in the registry by ONNX operator, for operators without attributes."""

_WITH_ATTRIBUTES = {
    "LeakyRelu": ("leaky_relu", {"alpha": 0.01}),
    "Elu": ("elu", {"alpha": 1.0}),
    "Celu": ("celu", {"alpha": 1.0}),
    "Selu": ("selu", {"alpha": 1.673263, "gamma": 1.050701}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
}
"""Function name in the registry by ONNX operator, with the attributes that parametrise it and their ONNX defaults."""


def _operator(op_type: str) -> Formula:
    def formula(op: Any, x: Any) -> Any:
        return getattr(op, op_type)(x)

    return formula


def _prelu(op: Any, x: Any, slope: Any) -> Any:
    return op.PRelu(x, slope)


def _relu_as_max(op: Any, x: Any) -> Any:
    return op.Max(x, 0)


def _relu_as_clip(op: Any, x: Any) -> Any:
    return op.Clip(x, 0)


def _softplus_as_log(op: Any, x: Any) -> Any:
    return op.Log(op.Add(op.Exp(x), 1))


def call(name: str, *arguments: float) -> str:
    """Name of a parametrised function, such as "leaky_relu(0.01)", with the 7 digits of float32."""
    return f"{name}({','.join(repr(float(f'{argument:.7g}')) for argument in arguments)})"


def _from_attributes(match: Match) -> str:
    name, defaults = _WITH_ATTRIBUTES[match.root.op_type]
    return call(name, *(match.root.attributes.get_float(key, default) for key, default in defaults.items()))


def _from_slope(match: Match) -> str:
    slope = scalar(match.values["slope"])
    if slope is None:
        raise NoMatch(
            "PRelu has a slope for each channel, but a neuron computes one function; a single slope can be converted"
        )
    return call("leaky_relu", slope)


RULES = (
    Rule("softplus_as_log", (_softplus_as_log,), computes("softplus")),
    Rule("relu_as_bound", (_relu_as_max, _relu_as_clip), computes("relu")),
    *(Rule(name, (_operator(op_type),), computes(name)) for op_type, name in _PLAIN.items()),
    *(Rule(name, (_operator(op_type),), computes(_from_attributes)) for op_type, (name, _) in _WITH_ATTRIBUTES.items()),
    Rule("prelu", (_prelu,), computes(_from_slope)),
)

# SPDX-License-Identifier: Apache-2.0
"""The activations of recurrent operators, by the names in their attribute `activations`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import onnx_ir as ir

from onnx_snn.decompositions.builder import FormulaBuilder, Unsupported

Activation: TypeAlias = Callable[[FormulaBuilder, ir.Value], ir.Value]


class _Formula(NamedTuple):
    """An activation with its parameters.

    Attributes:
        operator: the standard operator, or a function that writes the formula.
        defaults: defaults of its parameters by name, "alpha" and "beta".
    """

    operator: str | Callable[..., ir.Value]
    defaults: Mapping[str, float] = {}

    def write(self, op: FormulaBuilder, x: ir.Value, parameters: Mapping[str, float]) -> ir.Value:
        """The activation of `x`."""
        if callable(self.operator):
            return self.operator(op, x, **parameters)
        written: ir.Value = getattr(op, self.operator)(x, **parameters)
        return written


def _affine(op: FormulaBuilder, x: ir.Value, alpha: float, beta: float) -> ir.Value:
    return op.Add(op.Mul(x, alpha), beta)


def _scaled_tanh(op: FormulaBuilder, x: ir.Value, alpha: float, beta: float) -> ir.Value:
    return op.Mul(op.Tanh(op.Mul(x, beta)), alpha)


_FORMULAS = {
    "relu": _Formula("Relu"),
    "tanh": _Formula("Tanh"),
    "sigmoid": _Formula("Sigmoid"),
    "softsign": _Formula("Softsign"),
    "softplus": _Formula("Softplus"),
    "affine": _Formula(_affine, {"alpha": 1.0, "beta": 0.0}),
    "leakyrelu": _Formula("LeakyRelu", {"alpha": 0.01}),
    "thresholdedrelu": _Formula("ThresholdedRelu", {"alpha": 1.0}),
    "scaledtanh": _Formula(_scaled_tanh, {"alpha": 1.0, "beta": 1.0}),
    "hardsigmoid": _Formula("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    "elu": _Formula("Elu", {"alpha": 1.0}),
}
"""The activations by their names in lower case, which is how onnxruntime compares them."""


def activations_of(node: ir.Node, default: Sequence[str], directions: int) -> list[list[Activation]]:
    """The activations of each direction of a recurrent operator.

    The lists `activation_alpha` and `activation_beta` hold a number for each activation that has such a parameter, in
    their order.

    Raises:
        Unsupported: an activation is unknown, or there are not as many as needed.
    """
    names = node.attributes.get_strings("activations", list(default) * directions)
    if len(names) != len(default) * directions:
        raise Unsupported(f"{node.op_type} with {len(names)} activations in place of {len(default) * directions}")
    given = {name: iter(node.attributes.get_floats(f"activation_{name}", ())) for name in ("alpha", "beta")}
    found: list[Activation] = []
    for name in names:
        formula = _FORMULAS.get(name.lower())
        if formula is None:
            raise Unsupported(f"{node.op_type} with the activation {name!r} is not supported")
        parameters = {key: float(next(given[key], default)) for key, default in formula.defaults.items()}
        found.append(partial(_written, formula, parameters))
    return [found[i : i + len(default)] for i in range(0, len(found), len(default))]


def _written(formula: _Formula, parameters: Mapping[str, float], op: FormulaBuilder, x: ir.Value) -> ir.Value:
    return formula.write(op, x, parameters)

# SPDX-License-Identifier: Apache-2.0
"""The notation of formulas: that of onnxscript's pattern engine, made to read as mathematics.

    def silu(op, x):
        return op.Mul(x, op.Sigmoid(x))

Add, Mul, Max and Min match in either order of their operands, `op.either(a, b)` matches any of its
arguments, and a number matches a constant of one element near it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from onnxscript.rewriter import pattern

from onnx_snn.graph.activation_flow import operators
from onnx_snn.graph.constants import scalar

Formula = Callable[..., Any]

CONSTANT_TOLERANCE = 5e-4
"""Relative error that a constant of a formula may have: float16 rounds by up to this much."""

_COMMUTATIVE = operators("Add Mul Max Min")


def compile_formula(formula: Formula) -> Iterator[tuple[str, pattern.Pattern]]:
    """The operator of the last node and a pattern, for each alternative of that node.

    The engine starts from one given node, so that a choice is not allowed there.
    """
    chosen = 0
    roots: list[str] = []

    @wraps(formula)
    def alternative(op: Any, *variables: Any) -> Any:
        notation = _Notation(op)
        choices = notation.alternatives(formula(notation, *variables))
        roots[:] = [choice.producer().op_type for choice in choices]
        return choices[chosen]

    while not roots or chosen < len(roots):
        compiled = pattern.Pattern(alternative, matcher=_Matcher, name=formula.__name__)
        yield roots[chosen], compiled
        chosen += 1


class _Notation:
    """The `op` that a formula sees: the engine's, with commutative operators and alternatives."""

    def __init__(self, op: Any) -> None:
        self._op = op
        self._alternatives: dict[Any, list[Any]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        build: Callable[..., Any] = getattr(self._op, name)
        if name not in _COMMUTATIVE:
            return build
        return lambda a, b: self.either(build(a, b), build(b, a))

    def either(self, *values: Any) -> Any:
        """Whatever matches one of `values`."""
        flat = [alternative for value in values for alternative in self.alternatives(value)]
        choice = pattern.OrValue(flat)
        self._alternatives[choice] = flat
        return choice

    def alternatives(self, value: Any) -> list[Any]:
        """What `value` may be: itself, unless it is a choice."""
        return self._alternatives.get(value, [value])


class _Matcher(pattern.SimplePatternMatcher):
    """The engine's matcher, with our reading of constants."""

    def _match_constant(self, pattern_constant: Any, value: Any) -> bool:
        number = scalar(value)
        if number is None or not math.isclose(number, pattern_constant.value, rel_tol=CONSTANT_TOLERANCE):
            return bool(self.fail(f"{value.name} is not the constant {pattern_constant.value}"))
        return True

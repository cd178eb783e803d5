# SPDX-License-Identifier: Apache-2.0
"""The notation of formulas: patterns of onnxscript's rewriter, with commutative operators and tolerant constants.

    def silu(op, x):
        return op.Mul(x, op.Sigmoid(x))

Add, Mul, Max and Min match in either order of their operands, `op.either(a, b)` matches any of its
arguments, and a number matches a constant of one element within a relative tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from onnxscript.rewriter import pattern

from onnx_snn.graph.constants import scalar
from onnx_snn.graph.operator_lists import operators

Formula = Callable[..., Any]

CONSTANT_TOLERANCE = 5e-4
"""Relative tolerance for constants of a formula: the rounding error of float16, 2**-11, rounded up."""

_COMMUTATIVE = operators("Add Mul Max Min")
"""Operators that match with their two operands in either order."""


def compile_formula(formula: Formula) -> Iterator[tuple[str, pattern.Pattern]]:
    """Yield the operator of the last node and a pattern for it, for each alternative of the last node.

    The matcher starts at a given node, so that the last node of a pattern cannot be a choice.
    """
    index = 0
    roots: list[str] = []

    @wraps(formula)
    def alternative(op: Any, *variables: Any) -> Any:
        notation = _Notation(op)
        choices = notation.alternatives(formula(notation, *variables))
        roots[:] = [choice.producer().op_type for choice in choices]
        return choices[index]

    while not roots or index < len(roots):
        compiled = pattern.Pattern(alternative, matcher=_Matcher, name=formula.__name__)
        yield roots[index], compiled
        index += 1


class _Notation:
    """The parameter `op` of a formula: that of onnxscript, with commutative operators and alternatives."""

    def __init__(self, op: Any) -> None:
        self._op = op
        self._alternatives: dict[Any, list[Any]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        build: Callable[..., Any] = getattr(self._op, name)
        if name not in _COMMUTATIVE:
            return build
        return lambda a, b: self.either(build(a, b), build(b, a))

    def either(self, *values: Any) -> Any:
        """A pattern that matches any of `values`."""
        flat = [alternative for value in values for alternative in self.alternatives(value)]
        choice = pattern.OrValue(flat)
        self._alternatives[choice] = flat
        return choice

    def alternatives(self, value: Any) -> list[Any]:
        """The alternatives of `value`: `value` itself unless it is a choice."""
        return self._alternatives.get(value, [value])


class _Matcher(pattern.SimplePatternMatcher):
    """The matcher of onnxscript, with `CONSTANT_TOLERANCE` for constants in any form that `scalar` reads."""

    def _match_constant(self, pattern_constant: Any, value: Any) -> bool:
        number = scalar(value)
        if number is None or not math.isclose(number, pattern_constant.value, rel_tol=CONSTANT_TOLERANCE):
            return bool(self.fail(f"{value.name} is not the constant {pattern_constant.value}"))
        return True

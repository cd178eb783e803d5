# SPDX-License-Identifier: Apache-2.0
"""Functions of arguments of any magnitude, by a neuron on a small range and exact arithmetic around it.

    reciprocal   v = m * 2**e,      1 / v       = neuron(m) / 2**e           m in [0.5, 1)
    sqrt         v = m * 2**(2h),   sqrt(v)     = neuron(m) * 2**h           m in [0.5, 2)
    rsqrt        v = m * 2**(2h),   1 / sqrt(v) = neuron(m) / 2**h           m in [0.5, 2)
    power(a)     v = m * 2**e,      v**a        = neuron(m) * 2**(a*e)       m in [0.5, 1), a whole
    log          v = m * 2**e,      log(v)      = neuron(m) + e * log(2)     m in [0.75, 1.5)
    exp          v = r + n log(2),  exp(v)      = neuron(r) * 2**n           r in [-log(2) / 2, log(2) / 2]
    sin, cos     v = r + 2 pi n,    sin(v)      = neuron(r)                  r in [-pi, pi]

Mantissas and exponents are split as in docs/op_spec.md, in float64, where every float32 is a normal number: a power of
two is the unit in the last place of a multiple. Where v is 0, not finite or outside the domain of the function, the
result is that of the standard operators. An argument that the network computes may have erred across the border of the
domain, as a sum of squares by neurons does near 0: of roots and logarithms of such, the magnitude is the argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import onnx_ir as ir

from onnx_snn.graph.node_builder import NodeBuilder, SharedInitializers
from onnx_snn.neurons.functions import whole_power

Neuron: TypeAlias = Callable[[ir.Value], ir.Value]
"""Adds a neuron: from its argument to its output, both float32."""

_FAR = 128.0
"""Magnitude of an argument from which its exponential is 0 or infinite in float32."""

_SHARE = 2.0**-53 + 2.0**-105
"""The number that adds a little more than half of a unit in the last place to a float64 when multiplied by it."""


Reduction: TypeAlias = "Callable[[Arithmetic, ir.Value, Neuron], ir.Value]"
"""Computes a function of a float32 tensor by a neuron of a part of its argument."""


class Arithmetic:
    """Adds standard operators to the nodes of a builder.

    Args:
        builder: builder of the nodes.
        constants: initializers of the model.
    """

    def __init__(self, builder: NodeBuilder, constants: SharedInitializers) -> None:
        self._builder, self._constants = builder, constants

    def __getattr__(self, op_type: str) -> Callable[..., ir.Value]:
        """The operator `op_type`: its operands are values, or numbers, which become constants of float64."""
        if op_type.startswith("_"):
            raise AttributeError(op_type)

        def write(*operands: ir.Value | float) -> ir.Value:
            return self._builder.op(op_type, [self._value(operand) for operand in operands])

        return write

    def single(self, x: ir.Value | float) -> ir.Value:
        """`x` as float32."""
        return self._cast(x, ir.DataType.FLOAT)

    def double(self, x: ir.Value) -> ir.Value:
        """`x` as float64."""
        return self._cast(x, ir.DataType.DOUBLE)

    def unit(self, a: ir.Value) -> ir.Value:
        """The unit in the last place of the float64 `a`; 0 for 0, NaN for infinity."""
        return self.Sub(self.Add(a, self.Mul(a, _SHARE)), a)

    def _cast(self, x: ir.Value | float, dtype: ir.DataType) -> ir.Value:
        if isinstance(x, float):
            return self._constant(x, dtype)
        return self._builder.op("Cast", [x], {"to": dtype})

    def _value(self, operand: ir.Value | float) -> ir.Value:
        return self._constant(operand, ir.DataType.DOUBLE) if isinstance(operand, float) else operand

    def _constant(self, number: Any, dtype: ir.DataType) -> ir.Value:
        return self._constants.get(number, dtype, "onnx_snn.constant")


def _reciprocal(op: Arithmetic, x: ir.Value, neuron: Neuron) -> ir.Value:
    v = op.double(op.Abs(x))
    power = op.unit(op.Mul(v, 2.0**53))
    inverse = op.single(op.Div(op.double(neuron(op.single(op.Div(v, power)))), power))
    signed = op.Where(op.Less(x, op.single(0.0)), op.Neg(inverse), inverse)
    return op.Where(op.Greater(power, 0.0), signed, op.Div(op.single(1.0), x))


def _power(exponent: int) -> Reduction:
    """The reduction of x**exponent, exponent whole; that of 0 and infinity is of their reciprocal or of themselves."""

    def reduction(op: Arithmetic, x: ir.Value, neuron: Neuron) -> ir.Value:
        magnitude = op.Abs(x)
        v = op.double(magnitude)
        power = op.unit(op.Mul(v, 2.0**53))
        shift = power
        for _ in range(abs(exponent) - 1):
            shift = op.Mul(shift, power)
        of_mantissa = op.double(neuron(op.single(op.Div(v, power))))
        regular = op.single(op.Mul(of_mantissa, shift) if exponent > 0 else op.Div(of_mantissa, shift))
        plain = magnitude
        if exponent % 2:
            plain, regular = x, op.Where(op.Less(x, op.single(0.0)), op.Neg(regular), regular)
        return op.Where(op.Greater(power, 0.0), regular, plain if exponent > 0 else op.Div(op.single(1.0), plain))

    return reduction


def _root(op: Arithmetic, x: ir.Value, neuron: Neuron) -> ir.Value:
    power, of_mantissa = _by_even_power(op, x, neuron)
    return op.Where(op.Greater(power, 0.0), op.single(op.Mul(of_mantissa, power)), op.Sqrt(x))


def _reciprocal_root(op: Arithmetic, x: ir.Value, neuron: Neuron) -> ir.Value:
    power, of_mantissa = _by_even_power(op, x, neuron)
    exceptional = op.Div(op.single(1.0), op.Sqrt(x))
    return op.Where(op.Greater(power, 0.0), op.single(op.Div(of_mantissa, power)), exceptional)


def _by_even_power(op: Arithmetic, x: ir.Value, neuron: Neuron) -> tuple[ir.Value, ir.Value]:
    """2**h and the neuron's answer to m, both float64, where x = m * 2**(2h)."""
    v = op.double(x)
    power = op.unit(op.Sqrt(op.Mul(v, 2.0**105)))
    return power, op.double(neuron(op.single(op.Div(v, op.Mul(power, power)))))


def _logarithm(op: Arithmetic, x: ir.Value, neuron: Neuron) -> ir.Value:
    v = op.double(x)
    power = op.unit(op.Mul(v, 2.0**52 / 0.75))
    # Rounded, so that the exponent of a power of two does not depend on the last bits of a runtime's logarithm.
    exponent = op.Round(op.Mul(op.Log(power), math.log2(math.e)))
    of_mantissa = op.double(neuron(op.single(op.Div(v, power))))
    regular = op.single(op.Add(of_mantissa, op.Mul(exponent, math.log(2.0))))
    return op.Where(op.Greater(power, 0.0), regular, op.Log(x))


def _exponential(op: Arithmetic, x: ir.Value, neuron: Neuron) -> ir.Value:
    v = op.double(x)
    multiples = op.Round(op.Mul(v, math.log2(math.e)))
    # 2**n is the unit in the last place of exp((n + 52.5) log(2)), however inexact that is.
    power = op.unit(op.Exp(op.Mul(op.Add(multiples, 52.5), math.log(2.0))))
    rest = op.single(op.Sub(v, op.Mul(multiples, math.log(2.0))))
    regular = op.single(op.Mul(op.double(neuron(rest)), power))
    return op.Where(op.Less(op.Abs(x), op.single(_FAR)), regular, op.Exp(x))


def _of_angle(op: Arithmetic, x: ir.Value, neuron: Neuron) -> ir.Value:
    v = op.double(x)
    turns = op.Round(op.Mul(v, 0.5 / math.pi))
    return neuron(op.single(op.Sub(v, op.Mul(turns, 2.0 * math.pi))))


def reduction_of(function: str) -> Reduction | None:
    """How the function with reduced arguments called `function` is computed; None for one of the arguments themselves.

    Args:
        function: its name in the registry, see `ScalarFunction.reduced`.
    """
    exponent = whole_power(function)
    return REDUCTIONS.get(function) if exponent is None else _power(exponent)


REDUCTIONS: Mapping[str, Reduction] = {
    "reciprocal": _reciprocal,
    "sqrt": _root,
    "rsqrt": _reciprocal_root,
    "log": _logarithm,
    "exp": _exponential,
    "sin": _of_angle,
    "cos": _of_angle,
}
"""How the functions with reduced arguments that have no parameters are computed from a float32 tensor."""

OF_MAGNITUDES = frozenset(("sqrt", "rsqrt", "log"))
"""Those that negative arguments have no value of."""

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
result is that of the standard operators. In single precision it is so as well from 2**104 on, as such a multiple is
infinite, and a whole power that comes near the largest float32 may overflow. An argument that the network computes may
have erred across the border of the domain, as a sum of squares by neurons does near 0: of roots and logarithms of such,
the magnitude is the argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import onnx_ir as ir

from onnx_snn.graph.node_builder import NodeBuilder, SharedInitializers
from onnx_snn.neurons.functions import whole_power
from onnx_snn.neurons.opset import Precision

Neuron: TypeAlias = Callable[[ir.Value], ir.Value]
"""Adds a neuron: from its argument to its output, both float32."""

_FAR = 128.0
"""Magnitude of an argument from which its exponential is 0 or infinite in float32."""

_EXACT = 4096.0
"""Multiples of this over a power of two have 12 bits: float32 holds their products with whole numbers up to 2**12."""


Reduction: TypeAlias = "Callable[[Arithmetic, ir.Value, Neuron], ir.Value]"
"""Computes a function of a float32 tensor by a neuron of a part of its argument."""


class Arithmetic:
    """Adds standard operators to the nodes of a builder.

    Args:
        builder: builder of the nodes.
        constants: initializers of the model.
        precision: type of mantissas, powers and constants; the "wide" one.
    """

    def __init__(
        self, builder: NodeBuilder, constants: SharedInitializers, precision: Precision = Precision.DOUBLE
    ) -> None:
        self._builder, self._constants = builder, constants
        self._double = precision is Precision.DOUBLE
        self._wide = ir.DataType.DOUBLE if self._double else ir.DataType.FLOAT
        self.bits = 53 if self._double else 24

    def __getattr__(self, op_type: str) -> Callable[..., ir.Value]:
        """The operator `op_type`: its operands are values, or numbers, which become constants of the wide type."""
        if op_type.startswith("_"):
            raise AttributeError(op_type)

        def write(*operands: ir.Value | float) -> ir.Value:
            return self._builder.op(op_type, [self._value(operand) for operand in operands])

        return write

    def single(self, x: ir.Value | float) -> ir.Value:
        """`x` as float32."""
        if isinstance(x, float):
            return self._constant(x, ir.DataType.FLOAT)
        return self._builder.op("Cast", [x], {"to": ir.DataType.FLOAT}) if self._double else x

    def wide(self, x: ir.Value) -> ir.Value:
        """The float32 `x` in the wide type."""
        return self._builder.op("Cast", [x], {"to": ir.DataType.DOUBLE}) if self._double else x

    def unit(self, a: ir.Value) -> ir.Value:
        """The unit in the last place of the wide `a`; 0 for 0, NaN for infinity."""
        share = 2.0**-self.bits + 2.0 ** (1 - 2 * self.bits)  # a little more than half of the unit, relative to `a`
        return self.Sub(self.Add(a, self.Mul(a, share)), a)

    def root_unit(self, v: ir.Value) -> ir.Value:
        """The power 2**h for which the wide `v` is m * 2**(2h), m in [0.5, 2): it is the unit of a multiple's root."""
        if self._double:
            return self.unit(self.Sqrt(self.Mul(v, 2.0**105)))
        return self.unit(self.Mul(self.Sqrt(self.Mul(v, 2.0)), 2.0**23))

    def remainder(self, v: ir.Value, n: ir.Value, step: float) -> ir.Value:
        """`v` - `n` * `step`, wide, for whole `n`.

        In float32, `step` is the sum of a part whose products with `n` are exact and a small rest (Cody and Waite,
        "Software Manual for the Elementary Functions", 1980).
        """
        if self._double:
            return self.Sub(v, self.Mul(n, step))
        leading = (
            round(step * _EXACT / 2.0 ** math.floor(math.log2(step))) * 2.0 ** math.floor(math.log2(step)) / _EXACT
        )
        return self.Sub(self.Sub(v, self.Mul(n, leading)), self.Mul(n, step - leading))

    def times_power(self, x: ir.Value, exponent: ir.Value) -> ir.Value:
        """The wide `x` * 2**`exponent`, for whole exponents up to about 200.

        A power 2**n is the unit in the last place of exp((n + bits - 0.5) log(2)), however inexact that is. In float32
        the power is taken as two, of half the exponent each, so that neither it nor the exponential overflows.
        """
        if self._double:
            return self.Mul(x, self._power(exponent))
        half = self.Floor(self.Mul(exponent, 0.5))
        return self.Mul(self.Mul(x, self._power(half)), self._power(self.Sub(exponent, half)))

    def _power(self, exponent: ir.Value) -> ir.Value:
        return self.unit(self.Exp(self.Mul(self.Add(exponent, self.bits - 0.5), math.log(2.0))))

    def _value(self, operand: ir.Value | float) -> ir.Value:
        return self._constant(operand, self._wide) if isinstance(operand, float) else operand

    def _constant(self, number: Any, dtype: ir.DataType) -> ir.Value:
        return self._constants.get(number, dtype, "onnx_snn.constant")


def _reciprocal(op: Arithmetic, x: ir.Value, neuron: Neuron) -> ir.Value:
    v = op.wide(op.Abs(x))
    power = op.unit(op.Mul(v, 2.0**op.bits))
    inverse = op.single(op.Div(op.wide(neuron(op.single(op.Div(v, power)))), power))
    signed = op.Where(op.Less(x, op.single(0.0)), op.Neg(inverse), inverse)
    return op.Where(op.Greater(power, 0.0), signed, op.Div(op.single(1.0), x))


def _power(exponent: int) -> Reduction:
    """The reduction of x**exponent, exponent whole; that of 0 and infinity is of their reciprocal or of themselves."""

    def reduction(op: Arithmetic, x: ir.Value, neuron: Neuron) -> ir.Value:
        magnitude = op.Abs(x)
        v = op.wide(magnitude)
        power = op.unit(op.Mul(v, 2.0**op.bits))
        shift = power
        for _ in range(abs(exponent) - 1):
            shift = op.Mul(shift, power)
        of_mantissa = op.wide(neuron(op.single(op.Div(v, power))))
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
    """2**h and the neuron's answer to m, both wide, where x = m * 2**(2h)."""
    v = op.wide(x)
    power = op.root_unit(v)
    return power, op.wide(neuron(op.single(op.Div(v, op.Mul(power, power)))))


def _logarithm(op: Arithmetic, x: ir.Value, neuron: Neuron) -> ir.Value:
    v = op.wide(x)
    power = op.unit(op.Mul(v, 2.0 ** (op.bits - 1) / 0.75))
    # Rounded, so that the exponent of a power of two does not depend on the last bits of a runtime's logarithm.
    exponent = op.Round(op.Mul(op.Log(power), math.log2(math.e)))
    of_mantissa = op.wide(neuron(op.single(op.Div(v, power))))
    regular = op.single(op.Add(of_mantissa, op.Mul(exponent, math.log(2.0))))
    return op.Where(op.Greater(power, 0.0), regular, op.Log(x))


def _exponential(op: Arithmetic, x: ir.Value, neuron: Neuron) -> ir.Value:
    v = op.wide(x)
    multiples = op.Round(op.Mul(v, math.log2(math.e)))
    rest = op.single(op.remainder(v, multiples, math.log(2.0)))
    regular = op.single(op.times_power(op.wide(neuron(rest)), multiples))
    return op.Where(op.Less(op.Abs(x), op.single(_FAR)), regular, op.Exp(x))


def _of_angle(op: Arithmetic, x: ir.Value, neuron: Neuron) -> ir.Value:
    v = op.wide(x)
    turns = op.Round(op.Mul(v, 0.5 / math.pi))
    return neuron(op.single(op.remainder(v, turns, 2.0 * math.pi)))


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

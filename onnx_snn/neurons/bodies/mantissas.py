# SPDX-License-Identifier: Apache-2.0
"""ONNX statements that compute 1/v and 1/sqrt(v) by a neuron of the mantissa and an exact shift of the exponent.

The power of two in a number is found by arithmetic that is exact in any runtime (S. M. Rump, T. Ogita, S. Oishi,
"Accurate floating-point summation, part I", SIAM J. Sci. Comput. 31(1), 2008, algorithm 3.5, unit in the first place):
with rounding to p bits and q = (2**(p-1) + 1) * a, the difference q - (1 - 2**-p) * q is the largest power of two that
|a| reaches, with the sign of a.
"""

from __future__ import annotations

from onnx_snn.neurons.bodies.closed_form import halving_rows
from onnx_snn.neurons.bodies.mbe_neuron import call


def power_of_two(result: str, a: str, spread: str, gap: str) -> str:
    """result = the largest power of two up to |a|, with the sign of a; 0 for 0, NaN for infinite a.

    Args:
        result: name of the power.
        a: name of the number.
        spread: name of the constant 2**(p-1) + 1, or a power of two times it, by which the result is then multiplied.
        gap: name of the constant 1 - 2**-p.
    """
    return f"""
    {result}_spread = Mul ({a}, {spread})
    {result}_lowered = Mul ({result}_spread, {gap})
    {result} = Sub ({result}_spread, {result}_lowered)
    """


_SPREAD = 2.0**52 + 1
"""The factor of float64 in `power_of_two`."""

CONSTANTS = """
    one_float = Constant <value = float {1}> ()
    zero = Constant <value = float {0}> ()
    zero_double = Constant <value = double {0}> ()
    gap_double = Constant <value = double {0.99999999999999988898}> ()
    """
"""Read by `reciprocal` and `reciprocal_square_root`; 1 - 2**-53 is the gap of float64."""


def _through_mantissa(
    result: str, divisor: str, unit: str, exceptional: str, call_of_neuron: str, metered: bool
) -> str:
    """result = neuron(v / divisor) / power where v is regular: positive and finite; `exceptional` elsewhere.

    Only a metered neuron is given the mantissa `unit` of 1 in place of a v that is not regular: its spikes count.
    """
    select = (
        f"mantissa_double = Where (regular, quotient, {unit})" if metered else "mantissa_double = Identity (quotient)"
    )
    return f"""
    regular = Greater (power, zero_double)
    quotient = Div (v_double, {divisor})
    {select}
    mantissa = Cast <to = 1> (mantissa_double)
    {call_of_neuron}
    unshifted = Cast <to = 11> (of_mantissa)
    shifted_double = Div (unshifted, power)
    shifted = Cast <to = 1> (shifted_double)
    {result}_signed = Where (regular, shifted, {exceptional})
    {result} = Add ({result}_signed, zero)
    """


def _neuron(prefix: str, metered: bool, inline: bool) -> str:
    """of_mantissa = neuron(mantissa), written out if `inline`."""
    if inline:
        return halving_rows("of_mantissa", "mantissa", prefix)
    return call("of_mantissa", "mantissa", prefix, metered)


def reciprocal(result: str, metered: bool, inline: bool) -> str:
    """result = 1 / v by the reciprocal neuron on [0.5, 1): v = mantissa * power, 1/v = (1/mantissa) / power."""
    neuron = _neuron("reciprocal_", metered, inline)
    return f"""
    unit_mantissa = Constant <value = double {{0.5}}> ()
    spread = Constant <value = double {{{_SPREAD * 2!r}}}> ()
    v_double = Cast <to = 11> (v)
    {power_of_two("power", "v_double", "spread", "gap_double")}
    exceptional = Div (one_float, v)
    {_through_mantissa(result, "power", "unit_mantissa", "exceptional", neuron, metered)}
    """


def reciprocal_square_root(result: str, metered: bool, inline: bool) -> str:
    """result = 1 / sqrt(v) by the rsqrt neuron on [0.5, 2): v = mantissa * power**2.

    The root of 2 * v is at least power and below 2 * power, also after its rounding: it is exact where 2 * v is a power
    of four, and v has only 24 bits.
    """
    neuron = _neuron("rsqrt_", metered, inline)
    return f"""
    unit_mantissa = Constant <value = double {{1}}> ()
    two_double = Constant <value = double {{2}}> ()
    spread = Constant <value = double {{{_SPREAD!r}}}> ()
    v_double = Cast <to = 11> (v)
    v_doubled = Mul (v_double, two_double)
    root = Sqrt (v_doubled)
    {power_of_two("power", "root", "spread", "gap_double")}
    power_squared = Mul (power, power)
    v_root = Sqrt (v)
    exceptional = Div (one_float, v_root)
    {_through_mantissa(result, "power_squared", "unit_mantissa", "exceptional", neuron, metered)}
    """

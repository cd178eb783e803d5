# SPDX-License-Identifier: Apache-2.0
"""ONNX statements that compute 1/v and 1/sqrt(v) by a neuron of the mantissa and an exact shift of the exponent."""

from __future__ import annotations

from onnx_snn.neurons.bodies.mbe_neuron import call
from onnx_snn.neurons.bodies.statements import positive_zero, unit_of_last_place

CONSTANTS = """
    one_float = Constant <value = float {1}> ()
    zero = Constant <value = float {0}> ()
    zero_double = Constant <value = double {0}> ()
    """
"""Read by `reciprocal` and `reciprocal_square_root`."""


def _through_mantissa(result: str, divisor: str, unit: str, exceptional: str, prefix: str, metered: bool) -> str:
    """result = neuron(v / divisor) / power where v is regular: positive and finite; `exceptional` elsewhere.

    Only a metered neuron is given the mantissa `unit` of 1 in place of a v that is not regular: its spikes count, but
    for those of rows without elements.
    """
    neuron = call("of_mantissa", "mantissa", prefix, metered, spikes="spikes_of_rows")
    if metered:
        neuron += f"""
    elements = Size (x)
    any_elements = Sign (elements)
    {prefix}spikes = Mul (spikes_of_rows, any_elements)
    """
    select = (
        f"mantissa_double = Where (regular, quotient, {unit})" if metered else "mantissa_double = Identity (quotient)"
    )
    return f"""
    regular = Greater (power, zero_double)
    quotient = Div (v_double, {divisor})
    {select}
    mantissa = Cast <to = 1> (mantissa_double)
    {neuron}
    unshifted = Cast <to = 11> (of_mantissa)
    shifted_double = Div (unshifted, power)
    shifted = Cast <to = 1> (shifted_double)
    {result}_signed = Where (regular, shifted, {exceptional})
    {positive_zero(result, f"{result}_signed")}
    """


def reciprocal(result: str, metered: bool) -> str:
    """result = 1 / v by the reciprocal neuron on [0.5, 1): v = mantissa * power, 1/v = (1/mantissa) / power.

    The power is the unit in the last place of 2**53 * v.
    """
    return f"""
    unit_mantissa = Constant <value = double {{0.5}}> ()
    two_to_53 = Constant <value = double {{{2.0**53!r}}}> ()
    v_double = Cast <to = 11> (v)
    v_shifted = Mul (v_double, two_to_53)
    {unit_of_last_place("power", "v_shifted", "double")}
    exceptional = Div (one_float, v)
    {_through_mantissa(result, "power", "unit_mantissa", "exceptional", "reciprocal_", metered)}
    """


def reciprocal_square_root(result: str, metered: bool) -> str:
    """result = 1 / sqrt(v) by the rsqrt neuron on [0.5, 2): v = mantissa * power**2.

    The power is the unit in the last place of 2**52 * sqrt(2 * v). The root of 2 * v is at least power and below
    2 * power, also after its rounding: it is exact where 2 * v is a power of four, and v has only 24 bits.
    """
    return f"""
    unit_mantissa = Constant <value = double {{1}}> ()
    two_to_105 = Constant <value = double {{{2.0**105!r}}}> ()
    v_double = Cast <to = 11> (v)
    v_shifted = Mul (v_double, two_to_105)
    root = Sqrt (v_shifted)
    {unit_of_last_place("power", "root", "double")}
    power_squared = Mul (power, power)
    v_root = Sqrt (v)
    exceptional = Div (one_float, v_root)
    {_through_mantissa(result, "power_squared", "unit_mantissa", "exceptional", "rsqrt_", metered)}
    """

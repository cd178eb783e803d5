# SPDX-License-Identifier: Apache-2.0
"""ONNX statements that compute 1/v and 1/sqrt(v) by a neuron of the mantissa and an exact shift of the exponent."""

from __future__ import annotations

from onnx_snn.neurons.bodies.mbe_neuron import call
from onnx_snn.neurons.bodies.statements import Target, positive_zero, root_power, unit_of_last_place


def constants(target: Target) -> str:
    """Read by `reciprocal` and `reciprocal_square_root`."""
    return f"""
    one_float = Constant <value = float {{1}}> ()
    zero = Constant <value = float {{0}}> ()
    zero_wide = Constant <value = {target.wide} {{0}}> ()
    """


def _through_mantissa(
    result: str, divisor: str, unit: str, exceptional: str, prefix: str, target: Target, metered: bool
) -> str:
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
    select = f"mantissa_wide = Where (regular, quotient, {unit})" if metered else "mantissa_wide = Identity (quotient)"
    return f"""
    regular = Greater (power, zero_wide)
    quotient = Div (v_wide, {divisor})
    {select}
    mantissa = Cast <to = 1> (mantissa_wide)
    {neuron}
    unshifted = Cast <to = {target.wide_type}> (of_mantissa)
    shifted_wide = Div (unshifted, power)
    shifted = Cast <to = 1> (shifted_wide)
    {result}_signed = Where (regular, shifted, {exceptional})
    {positive_zero(result, f"{result}_signed")}
    """


def reciprocal(result: str, target: Target, metered: bool) -> str:
    """result = 1 / v by the reciprocal neuron on [0.5, 1): v = mantissa * power, 1/v = (1/mantissa) / power.

    The power is the unit in the last place of 2**bits * v.
    """
    return f"""
    unit_mantissa = Constant <value = {target.wide} {{0.5}}> ()
    two_to_bits = Constant <value = {target.wide} {{{2.0**target.bits!r}}}> ()
    v_wide = Cast <to = {target.wide_type}> (v)
    v_shifted = Mul (v_wide, two_to_bits)
    {unit_of_last_place("power", "v_shifted", target.wide)}
    exceptional = Div (one_float, v)
    {_through_mantissa(result, "power", "unit_mantissa", "exceptional", "reciprocal_", target, metered)}
    """


def reciprocal_square_root(result: str, target: Target, metered: bool) -> str:
    """result = 1 / sqrt(v) by the rsqrt neuron on [0.5, 2): v = mantissa * power**2."""
    return f"""
    unit_mantissa = Constant <value = {target.wide} {{1}}> ()
    v_wide = Cast <to = {target.wide_type}> (v)
    {root_power("power", "v", target)}
    power_squared = Mul (power, power)
    v_root = Sqrt (v)
    exceptional = Div (one_float, v_root)
    {_through_mantissa(result, "power_squared", "unit_mantissa", "exceptional", "rsqrt_", target, metered)}
    """

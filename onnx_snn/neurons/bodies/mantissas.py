# SPDX-License-Identifier: Apache-2.0
"""ONNX statements that compute 1/v and 1/sqrt(v) by a neuron of the mantissa and an exact shift of the exponent."""

from __future__ import annotations

import math

from onnx_snn.neurons.bodies.mbe_neuron import call

_LOWEST_EXPONENT = -150
"""Exponent of the first entry of `_POWERS_OF_TWO`: one below that of the smallest positive float32."""

_POWERS_OF_TWO = ", ".join(repr(math.ldexp(1.0, e)) for e in range(_LOWEST_EXPONENT, 130))
"""Table of powers of two over the exponents of float32, with a margin at both ends, because Pow need not be exact."""

FREXP = f"""
    powers = Constant <value = double[{130 - _LOWEST_EXPONENT}] {{{_POWERS_OF_TWO}}}> ()
    lowest = Constant <value = double {{{-_LOWEST_EXPONENT}}}> ()
    one_double = Constant <value = double {{1}}> ()
    two_double = Constant <value = double {{2}}> ()
    ln2 = Constant <value = double {{{math.log(2)!r}}}> ()
    infinity = Constant <value = float {{inf}}> ()
    nothing = Constant <value = float {{0}}> ()
    unity = Constant <value = float {{1}}> ()
    positive = Greater (v, nothing)
    bounded = Less (v, infinity)
    regular = And (positive, bounded)
    v_regular = Where (regular, v, unity)
    v_double = Cast <to = 11> (v_regular)
    v_ln = Log (v_double)
    v_log2 = Div (v_ln, ln2)
    guess = Floor (v_log2)
    guess_index_real = Add (guess, lowest)
    guess_index = Cast <to = 7> (guess_index_real)
    guess_power = Gather (powers, guess_index)
    guess_mantissa = Div (v_double, guess_power)
    too_high = Less (guess_mantissa, one_double)
    too_low = GreaterOrEqual (guess_mantissa, two_double)
    too_high_double = Cast <to = 11> (too_high)
    too_low_double = Cast <to = 11> (too_low)
    guess_lowered = Sub (guess, too_high_double)
    exponent = Add (guess_lowered, too_low_double)
    """
"""Statements for v = mantissa * 2**exponent with mantissa in [1, 2). The exponent estimated by the logarithm may be off
by one, which the comparisons correct."""


def _scaled_back(result: str, neuron_output: str, shift: str, exceptional: str) -> str:
    """result = neuron_output * 2**shift where v is regular, else `exceptional`."""
    return f"""
    shift_index_real = Add ({shift}, lowest)
    shift_index = Cast <to = 7> (shift_index_real)
    shift_power = Gather (powers, shift_index)
    unshifted = Cast <to = 11> ({neuron_output})
    shifted_double = Mul (unshifted, shift_power)
    shifted = Cast <to = 1> (shifted_double)
    {result}_signed = Where (regular, shifted, {exceptional})
    {result} = Add ({result}_signed, nothing)
    """


def _mantissa(offset: str) -> str:
    """mantissa = v / 2**offset as float32, exact."""
    return f"""
    offset_index_real = Add ({offset}, lowest)
    offset_index = Cast <to = 7> (offset_index_real)
    offset_power = Gather (powers, offset_index)
    mantissa_double = Div (v_double, offset_power)
    mantissa = Cast <to = 1> (mantissa_double)
    """


def reciprocal(result: str, metered: bool) -> str:
    """result = 1 / v by the reciprocal neuron on [0.5, 1): v = mantissa * 2**e, 1/v = (1/mantissa) * 2**-e."""
    return f"""
    {FREXP}
    halved_exponent = Add (exponent, one_double)
    {_mantissa("halved_exponent")}
    {call("mantissa_reciprocal", "mantissa", "reciprocal_", metered)}
    reciprocal_shift = Neg (halved_exponent)
    exceptional = Div (unity, v)
    {_scaled_back(result, "mantissa_reciprocal", "reciprocal_shift", "exceptional")}
    """


def reciprocal_square_root(result: str, metered: bool) -> str:
    """result = 1 / sqrt(v) by the rsqrt neuron on [0.5, 2): v = mantissa * 2**e with e even."""
    return f"""
    {FREXP}
    exponent_next = Add (exponent, one_double)
    half_real = Div (exponent_next, two_double)
    half = Floor (half_real)
    even_exponent = Mul (half, two_double)
    {_mantissa("even_exponent")}
    {call("mantissa_rsqrt", "mantissa", "rsqrt_", metered)}
    rsqrt_shift = Neg (half)
    v_root = Sqrt (v)
    exceptional = Div (unity, v_root)
    {_scaled_back(result, "mantissa_rsqrt", "rsqrt_shift", "exceptional")}
    """

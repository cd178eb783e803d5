# SPDX-License-Identifier: Apache-2.0
"""The body of `SpikingSoftmax`; statements are named like the symbols in `onnx_snn.neurons.composite`."""

from __future__ import annotations

import math

from onnx_snn.neurons.bodies.closed_form import HALVING_CONSTANTS, halving_elements
from onnx_snn.neurons.bodies.mantissas import CONSTANTS, power_of_two, reciprocal
from onnx_snn.neurons.bodies.mbe_neuron import allowzero, call
from onnx_snn.neurons.bodies.statements import ONCE, in_subgraph

REDUCE_AXES_INPUT_OPSET = 18
"""First opset whose ReduceMax takes its axes as an input."""

_LOWEST_NORMAL = -126
"""Exponent of the smallest normal float32. Smaller exponentials are set to 0: they are negligible relative to the
largest one of the row, which is 1."""


def softmax(opset: int, metered: bool, inline: bool) -> str:
    """softmax over the last axis: e = 2**floor(z) * exp2(z - floor(z)), z = (x - max) log2(e); y = e * 1/sum(e).

    Args:
        opset: version of the standard operators.
        metered: whether spikes are counted.
        inline: whether the neurons are written out in place of calls; they must be halving, with sums in float32.
    """
    if opset >= REDUCE_AXES_INPUT_OPSET:
        maximum = "maximum = ReduceMax <keepdims = 1> (x, last_axis)"
    else:
        maximum = "maximum = ReduceMax <axes = [-1], keepdims = 1> (x)"
    if inline:
        exp2 = halving_elements("power_of_fraction", "fraction", "exp2_", allowzero(opset))
    else:
        exp2 = call("power_of_fraction", "fraction", "exp2_", metered)
    statements = f"""
    {maximum}
    x_shifted = Sub (x, maximum)
    z = Mul (x_shifted, log2_e)
    vanishing = Less (z, z_lowest)
    z_capped = Where (vanishing, z_lowest, z)
    z_floor = Floor (z_capped)
    fraction = Sub (z_capped, z_floor)
    {exp2}
    {_POWER_OF_FLOOR}
    exponential_all = Mul (power_of_fraction, power_of_floor)
    exponential_signed = Where (vanishing, zero, exponential_all)
    exponential = Add (exponential_signed, zero)
    exponential_double = Cast <to = 11> (exponential)
    sum_double = ReduceSum <keepdims = 1> (exponential_double, last_axis)
    v = Cast <to = 1> (sum_double)
    {reciprocal("inverse", metered, inline)}
    y = Mul (exponential, inverse)
    """
    results = {"y": "x", "exp2_spikes": "last_axis", "reciprocal_spikes": "last_axis"} if metered else {"y": "x"}
    return f"""
    {ONCE}
    {CONSTANTS}
    {HALVING_CONSTANTS if inline else ""}
    last_axis = Constant <value = int64[1] {{-1}}> ()
    log2_e = Constant <value = float {{{math.log2(math.e)!r}}}> ()
    z_lowest = Constant <value = float {{{_LOWEST_NORMAL}}}> ()
    {_POWER_CONSTANTS}
    {in_subgraph(statements, results)}
    """


# 2**floor(z) is the largest power of two below exp((floor(z) + 0.5) ln 2), however inexact that is. Only arithmetic is
# used, unlike with a table, so that a NaN in x makes the sum of its row NaN whatever the maximum was.
_POWER_CONSTANTS = f"""
    ln2 = Constant <value = float {{{math.log(2)!r}}}> ()
    half_ln2 = Constant <value = float {{{math.log(2) / 2!r}}}> ()
    spread_float = Constant <value = float {{{2.0**23 + 1!r}}}> ()
    gap_float = Constant <value = float {{{1 - 2.0**-24!r}}}> ()
    """

_POWER_OF_FLOOR = f"""
    floor_natural = Mul (z_floor, ln2)
    middle_natural = Add (floor_natural, half_ln2)
    middle = Exp (middle_natural)
    {power_of_two("power_of_floor", "middle", "spread_float", "gap_float")}
    """

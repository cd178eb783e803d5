# SPDX-License-Identifier: Apache-2.0
"""The body of `SpikingSoftmax`; statements are named like the symbols in `onnx_snn.neurons.composite`."""

from __future__ import annotations

import math

from onnx_snn.neurons.bodies.mantissas import constants, reciprocal
from onnx_snn.neurons.bodies.mbe_neuron import call
from onnx_snn.neurons.bodies.statements import Target, in_subgraph, positive_zero, reduced, unit_of_last_place

_LOWEST_NORMAL = -126
"""Exponent of the smallest normal float32. Smaller exponentials are set to 0: they are negligible relative to the
largest one of the row, which is 1."""


def softmax(target: Target, metered: bool) -> str:
    """softmax over the last axis: e = 2**floor(z) * exp2(z - floor(z)), z = (x - max) log2(e); y = e * 1/sum(e)."""
    statements = f"""
    {constants(target)}
    last_axis = Constant <value = int64[1] {{-1}}> ()
    log2_e = Constant <value = float {{{math.log2(math.e)!r}}}> ()
    z_lowest = Constant <value = float {{{_LOWEST_NORMAL}}}> ()
    {_POWER_CONSTANTS}
    maximum = {reduced("ReduceMax", "x", "last_axis", target)}
    x_shifted = Sub (x, maximum)
    z = Mul (x_shifted, log2_e)
    vanishing = Less (z, z_lowest)
    z_capped = Where (vanishing, z_lowest, z)
    z_floor = Floor (z_capped)
    fraction = Sub (z_capped, z_floor)
    {call("power_of_fraction", "fraction", "exp2_", metered)}
    {_POWER_OF_FLOOR}
    exponential_all = Mul (power_of_fraction, power_of_floor)
    exponential_signed = Where (vanishing, zero, exponential_all)
    {positive_zero("exponential", "exponential_signed")}
    exponential_wide = Cast <to = {target.wide_type}> (exponential)
    sum_wide = ReduceSum <keepdims = 1> (exponential_wide, last_axis)
    v = Cast <to = 1> (sum_wide)
    {reciprocal("inverse", target, metered)}
    y = Mul (exponential, inverse)
    """
    results = {"y": "x", "exp2_spikes": "once", "reciprocal_spikes": "once"} if metered else {"y": "x"}
    return in_subgraph(statements, results)


# 2**floor(z) is the unit in the last place of exp((floor(z) + 23.5) ln 2), however inexact that is. Only arithmetic is
# used, unlike with a table, so that a NaN in x makes the sum of its row NaN whatever the maximum was.
_POWER_CONSTANTS = f"""
    ln2 = Constant <value = float {{{math.log(2)!r}}}> ()
    raise = Constant <value = float {{{23.5 * math.log(2)!r}}}> ()
    """

_POWER_OF_FLOOR = f"""
    floor_natural = Mul (z_floor, ln2)
    raised = Add (floor_natural, raise)
    middle = Exp (raised)
    {unit_of_last_place("power_of_floor", "middle", "float")}
    """

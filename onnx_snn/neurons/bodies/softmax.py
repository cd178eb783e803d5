# SPDX-License-Identifier: Apache-2.0
"""The body of `SpikingSoftmax`; statements are named like the symbols in `onnx_snn.neurons.composite`."""

from __future__ import annotations

import math

from onnx_snn.neurons.bodies.mantissas import reciprocal
from onnx_snn.neurons.bodies.mbe_neuron import call

REDUCE_AXES_INPUT_OPSET = 18
"""First opset whose ReduceMax takes its axes as an input."""

_LOWEST_FLOAT = -3.4028234663852886e38
"""The lowest finite float32, which replaces NaN before the maximum. ReduceMax of onnxruntime may ignore elements before
a NaN, and too small a maximum would give indices outside the table of powers. The row is NaN in any case."""

_LOWEST_NORMAL = -126
"""Exponent of the smallest normal float32. Smaller exponentials are set to 0: they are negligible relative to the
largest one of the row, which is 1."""


def softmax(opset: int, metered: bool) -> str:
    """softmax over the last axis: e = 2**floor(z) * exp2(z - floor(z)), z = (x - max) log2(e); y = e * 1/sum(e)."""
    if opset >= REDUCE_AXES_INPUT_OPSET:
        maximum = "maximum = ReduceMax <keepdims = 1> (x_known, last_axis)"
    else:
        maximum = "maximum = ReduceMax <axes = [-1], keepdims = 1> (x_known)"
    return f"""
    last_axis = Constant <value = int64[1] {{-1}}> ()
    log2_e = Constant <value = float {{{math.log2(math.e)!r}}}> ()
    z_lowest = Constant <value = float {{{_LOWEST_NORMAL}}}> ()
    z_zero = Constant <value = float {{0}}> ()
    below_all = Constant <value = float {{{_LOWEST_FLOAT}}}> ()
    x_missing = IsNaN (x)
    x_known = Where (x_missing, below_all, x)
    {maximum}
    x_shifted = Sub (x, maximum)
    z = Mul (x_shifted, log2_e)
    vanishing = Less (z, z_lowest)
    z_capped = Where (vanishing, z_lowest, z)
    z_floor = Floor (z_capped)
    fraction = Sub (z_capped, z_floor)
    {call("power_of_fraction", "fraction", "exp2_", metered)}
    z_missing = IsNaN (z_floor)
    z_index_real = Where (z_missing, z_zero, z_floor)
    z_index_float = Sub (z_index_real, z_lowest)
    z_index = Cast <to = 7> (z_index_float)
    negative_powers = Constant <value = float[{1 - _LOWEST_NORMAL}] {{{_NEGATIVE_POWERS}}}> ()
    power_of_floor = Gather (negative_powers, z_index)
    exponential_all = Mul (power_of_fraction, power_of_floor)
    exponential_signed = Where (vanishing, z_zero, exponential_all)
    exponential = Add (exponential_signed, z_zero)
    exponential_double = Cast <to = 11> (exponential)
    sum_double = ReduceSum <keepdims = 1> (exponential_double, last_axis)
    v = Cast <to = 1> (sum_double)
    {reciprocal("inverse", metered)}
    y = Mul (exponential, inverse)
    """


_NEGATIVE_POWERS = ", ".join(repr(math.ldexp(1.0, e)) for e in range(_LOWEST_NORMAL, 1))

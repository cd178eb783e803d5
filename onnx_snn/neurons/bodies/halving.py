# SPDX-License-Identifier: Apache-2.0
"""Closed bodies of halving neurons, with few nodes: what a session spends on a function is by node.

The neurons have halving kernels and sums that are exact in float32; `onnx_snn.neurons.bodies.mbe_neuron` has the body
of any other neuron. For every neuron there are statements on its parameters alone, which a runtime computes once, and
those on the argument.

onnxruntime drops a sum with a constant 0, and a product with one that is 1 as float32, where it knows shapes
(NoopElimination). Neither stands here: +0 is made of -0 by a difference from 0.
"""

from __future__ import annotations

import math

from onnx_snn.neurons.bodies.guarantees import Guarantees
from onnx_snn.neurons.bodies.statements import Target, allowzero, in_subgraph, reduced, root_power, unit_of_last_place

_BELOW_TWO = 2.0 - 2.0**-23
"""The float32 number before 2: with it as limit of the charge, every basis answers at most its last level."""

_STEEPEST = 2.0**127
"""The largest power of two of float32: it takes every normal number beyond 1."""

CONSTANTS = f"""
    zero = Constant <value = float {{0}}> ()
    below_two = Constant <value = float {{{_BELOW_TWO!r}}}> ()
    """
"""Read by all statements of this module."""

_SIGN_CONSTANTS = f"""
    odd_int = Constant <value_int: int = @polarity> ()
    one = Constant <value = float {{1}}> ()
    slope = Constant <value = float {{{_STEEPEST!r}}}> ()
    signs = Constant <value = float[2] {{1, -1}}> ()
    lowest_sign = Gather (signs, odd_int)
    """


def sign_constants(guarantees: Guarantees) -> str:
    """Read by `signed_elements`. Only odd neurons can have a sign of -1."""
    lowest = "lowest = Constant <value_float: float = -inf> ()"
    return lowest if guarantees.one_population else lowest + _SIGN_CONSTANTS


def mbe_neuron(target: Target, guarantees: Guarantees) -> str:
    """y = neuron(x) for neurons silent at rest; the last Reshape removes the axis that scale adds to scalars."""
    parameters = CONSTANTS + sign_constants(guarantees) + elements_parameters("")
    if guarantees.unscaled:
        return in_subgraph(parameters + signed_elements("y", "x", "", "scale", target, guarantees), {"y": "x"})
    statements = f"""
    {signed_elements("y_ranked", "x", "", "scale", target, guarantees)}
    y = Reshape {allowzero(target)} (y_ranked, shape)
    """
    return in_subgraph(parameters + statements, {"y": "x"})


def elements_parameters(prefix: str) -> str:
    """What `signed_elements` and `elements` read."""
    return f"""
    {_bits(prefix)}
    {prefix}u_rest_column = Flatten <axis = 1> ({prefix}u_rest)
    {prefix}level_gain = Flatten <axis = 1> ({prefix}level_gains)
    {prefix}weight_row = Flatten <axis = 0> ({prefix}weight_bits)
    """


def rows_parameters(prefix: str) -> str:
    """What `rows` reads."""
    return f"""
    {_bits(prefix)}
    {prefix}weight_column = Flatten <axis = 1> ({prefix}weight_bits)
    """


def _bits(prefix: str) -> str:
    """Gains and weights [N] and the highest level, in units of the last intensity, which is the smallest one.

    onnxruntime computes on the parameters only where it sees the shapes of results beforehand, as it does of these.
    """
    return f"""
    {prefix}bit = ReduceMin <keepdims = 0> ({prefix}intensity)
    {prefix}level_gains = Div ({prefix}gain, {prefix}bit)
    {prefix}weight_bits = Mul ({prefix}weight, {prefix}bit)
    {prefix}level_limit = Div (below_two, {prefix}bit)
    """


def signed_elements(result: str, x: str, prefix: str, scale: str, target: Target, guarantees: Guarantees) -> str:
    """result = neuron(x / scale) * scale by the polarity of the calling op, and x with all its bits where it is NaN.

    Max and Min select, and give a NaN back: the lesser of x and -inf is -inf, or the NaN. IsNaN and Where would take as
    long as eight of these statements. The readout is negated, so that the difference from 0 that turns it back leaves
    no -0.
    """
    scaled, answer = (x, f"{prefix}signed") if guarantees.unscaled else (f"{prefix}scaled", f"{prefix}answer")
    odd = not guarantees.one_population
    magnitude, turned = (f"{prefix}magnitude", f"{prefix}turned") if odd else (scaled, f"{prefix}negative")
    sign = f"""
    {prefix}steep = Mul ({scaled}, slope)
    {prefix}sign = Clip ({prefix}steep, lowest_sign, one)
    {prefix}magnitude = Mul ({scaled}, {prefix}sign)
    """
    return f"""
    {"" if guarantees.unscaled else f"{scaled} = Div ({x}, {scale})"}
    {sign if odd else ""}
    {_elements(f"{prefix}negative", magnitude, x, prefix, -1.0, target)}
    {f"{turned} = Mul ({prefix}negative, {prefix}sign)" if odd else ""}
    {prefix}signed = Sub (zero, {turned})
    {"" if guarantees.unscaled else f"{answer} = Mul ({prefix}signed, {scale})"}
    {prefix}missing = Min ({x}, lowest)
    {result} = Max ({prefix}missing, {answer})
    """


def elements(result: str, x: str, prefix: str, target: Target) -> str:
    """result = neuron(x) without scale and polarity; any number for a NaN. A result of 0 may be -0."""
    return _elements(result, x, x, prefix, 1.0, target)


def _elements(result: str, x: str, like: str, prefix: str, factor: float, target: Target) -> str:
    """result = factor * neuron(x), in the shape of `like`, with the bases along a leading axis in between."""
    return f"""
    {prefix}row = Flatten <axis = 0> ({x})
    {_levels(f"{prefix}row", f"{prefix}u_rest_column", f"{prefix}level_gain", prefix)}
    {prefix}sum = Gemm <alpha = {factor}, beta = {factor}> ({prefix}weight_row, {prefix}levels, {prefix}bias)
    {prefix}shape = Shape ({like})
    {result} = Reshape {allowzero(target)} ({prefix}sum, {prefix}shape)
    """


def rows(result: str, x: str, prefix: str) -> str:
    """result = neuron(x) without scale and polarity for x whose last side is 1; any number for a NaN.

    The bases take the place of the last axis.
    """
    return f"""
    {_levels(x, f"{prefix}u_rest", f"{prefix}level_gains", prefix)}
    {prefix}sum = MatMul ({prefix}levels, {prefix}weight_column)
    {result} = Sum ({prefix}sum, {prefix}bias)
    """


def _levels(x: str, u_rest: str, level_gain: str, prefix: str) -> str:
    return f"""
    {prefix}centred = Sub ({x}, {u_rest})
    {prefix}charge = Mul ({prefix}centred, {level_gain})
    {prefix}limited = Clip ({prefix}charge, zero, {prefix}level_limit)
    {prefix}levels = Floor ({prefix}limited)
    """


_LOWEST_NORMAL = -126
"""Exponent of the smallest normal float32. Smaller exponentials are set to 0."""


def softmax(target: Target) -> str:
    """`SpikingSoftmax` where the exponential neuron answers positive numbers, so that row sums are regular.

    2**floor(z) is the unit in the last place of a number between 2**(floor(z) + 23) and twice that, however inexactly
    it is computed. Arithmetic leaves a NaN of x a NaN, so that its row becomes NaN whatever the maximum was.
    """
    setup = f"""
    {CONSTANTS}
    {elements_parameters("exp2_")}
    {rows_parameters("reciprocal_")}
    last_axis = Constant <value = int64[1] {{-1}}> ()
    log2_e = Constant <value = float {{{math.log2(math.e)!r}}}> ()
    z_lowest = Constant <value = float {{{_LOWEST_NORMAL}}}> ()
    ln2 = Constant <value = float {{{math.log(2)!r}}}> ()
    raise = Constant <value = float {{{23.5 * math.log(2)!r}}}> ()
    two_to_24 = Constant <value = float {{16777216}}> ()
    """
    statements = f"""
    maximum = {reduced("ReduceMax", "x", "last_axis", target)}
    x_shifted = Sub (x, maximum)
    z = Mul (x_shifted, log2_e)
    z_capped = Max (z, z_lowest)
    z_floor = Floor (z_capped)
    fraction = Sub (z_capped, z_floor)
    {elements("power_of_fraction", "fraction", "exp2_", target)}
    floor_natural = Mul (z_floor, ln2)
    raised = Add (floor_natural, raise)
    middle = Exp (raised)
    {unit_of_last_place("power_of_floor", "middle", "float")}
    exponential_all = Mul (power_of_fraction, power_of_floor)
    kept = GreaterOrEqual (z, z_lowest)
    kept_float = Cast <to = 1> (kept)
    exponential = Mul (exponential_all, kept_float)
    exponential_wide = Cast <to = {target.wide_type}> (exponential)
    sum_wide = ReduceSum <keepdims = 1> (exponential_wide, last_axis)
    v = Cast <to = 1> (sum_wide)
    v_shifted = Mul (v, two_to_24)
    {unit_of_last_place("power", "v_shifted", "float")}
    mantissa = Div (v, power)
    {rows("of_mantissa", "mantissa", "reciprocal_")}
    inverse = Div (of_mantissa, power)
    y = Mul (exponential, inverse)
    """
    return in_subgraph(setup + statements, {"y": "x"})


def inverse_root(result: str, v: str, target: Target) -> str:
    """result = 1 / sqrt(v) for a finite v; any number for 0, which stands for a row of zeros."""
    return f"""
    {root_power("power_wide", v, target)}
    power = Cast <to = 1> (power_wide)
    quotient = Div ({v}, power)
    mantissa = Div (quotient, power)
    {rows("of_mantissa", "mantissa", "rsqrt_")}
    {result} = Div (of_mantissa, power)
    """

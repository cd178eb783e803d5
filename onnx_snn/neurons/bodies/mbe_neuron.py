# SPDX-License-Identifier: Apache-2.0
"""The body of `MbeNeuron`, as a loop over the time steps or in closed form, and calls of it from other bodies.

The statements are named like the symbols in `onnx_snn.neurons.mbe`, which computes the same in NumPy.
"""

from __future__ import annotations

from onnx_snn.neurons.opset import DOMAIN, PARAMETERS, Body

ALLOWZERO_OPSET = 14
"""First opset whose Reshape has the attribute `allowzero`, which empty tensors need."""


def mbe_neuron(opset: int, body: Body, metered: bool) -> str:
    """x -> membrane [N, elements] -> accumulated intensity [N, elements] -> y in the shape of x."""
    if body is Body.LOOP:
        evaluation = _time_loop("o", metered) + "unit = Constant <value = double {1}> ()"
    else:
        evaluation = _CLOSED_FORM + (_time_loop("o_of_loop", metered) if metered else "")
    allowzero = "<allowzero = 1>" if opset >= ALLOWZERO_OPSET else ""
    return _MEMBRANE + evaluation + _READOUT.replace("ALLOWZERO", allowzero)


_MEMBRANE = """
    odd_int = Constant <value_int: int = @polarity> ()
    odd = Cast <to = 9> (odd_int)
    zero = Constant <value = float {0}> ()
    scaled = Div (x, scale)
    negative = Less (scaled, zero)
    mirrored = And (negative, odd)
    negated = Neg (scaled)
    magnitude = Where (mirrored, negated, scaled)
    as_row = Constant <value = int64[2] {1, -1}> ()
    as_column = Constant <value = int64[2] {-1, 1}> ()
    last = Constant <value = int64[1] {2}> ()
    row = Reshape (magnitude, as_row)
    u_rest_column = Reshape (u_rest, as_column)
    gain_column = Reshape (gain, as_column)
    centred = Sub (row, u_rest_column)
    """


def _time_loop(accumulated: str, metered: bool) -> str:
    """The definition of the neuron as a Loop; with `metered`, it also returns `spikes` [S, N]."""
    count = "s_int = Cast <to = 7> (s) fired = ReduceSum <keepdims = 0> (s_int, count_axis)" if metered else ""
    step = f"""step (int64 t, bool go_in, float[] u, float[] o) =>
        (bool go, float[] u_next, float[] o_next{", int64[] fired" if metered else ""}) {{
            go = Identity (go_in)
            threshold_t = Gather (threshold_columns, t)
            reset_t = Gather (reset_columns, t)
            intensity_t = Gather (intensity_columns, t)
            s = GreaterOrEqual (u, threshold_t)
            u_fired = Sub (u, reset_t)
            u_next = Where (s, u_fired, u)
            o_fired = Add (o, intensity_t)
            o_next = Where (s, o_fired, o)
            {count}
        }}"""
    return f"""
    u_initial = Mul (centred, gain_column)
    threshold_columns = Unsqueeze (threshold, last)
    reset_columns = Unsqueeze (reset, last)
    intensity_columns = Unsqueeze (intensity, last)
    kernel_shape = Shape (threshold)
    step_axis = Constant <value = int64 {{0}}> ()
    count_axis = Constant <value = int64[1] {{1}}> ()
    steps = Gather (kernel_shape, step_axis)
    go_on = Constant <value = bool {{1}}> ()
    u_shape = Shape (u_initial)
    o_initial = ConstantOfShape <value = float[1] {{0}}> (u_shape)
    u_final, {accumulated}{", spikes" if metered else ""} =
        Loop (steps, go_on, u_initial, o_initial) <body = {step}>
    """


# The last intensity is the least significant bit 2**-(T-1), whether or not a gate leads; the levels then run to
# 2 / bit - 1. Dividing the gain by the bit is exact, so that one product gives the levels. The result of Clip for a
# NaN only affects its own column of the sum, which is replaced by x in the end.
_CLOSED_FORM = """
    final = Constant <value = int64 {-1}> ()
    first = Constant <value = int64 {0}> ()
    one = Constant <value = float {1}> ()
    two = Constant <value = float {2}> ()
    intensity_last = Gather (intensity, final)
    bit = Gather (intensity_last, first)
    level_count = Div (two, bit)
    top = Sub (level_count, one)
    level_gain = Div (gain_column, bit)
    level_real = Mul (centred, level_gain)
    level_floor = Floor (level_real)
    o = Clip (level_floor, zero, top)
    unit = Cast <to = 11> (bit)
    """

# 0 - y rather than Neg(y), so that a zero output is +0 on every runtime, also where Where loses the sign of zero.
# The last Reshape removes the axis that the scale [1] adds to a scalar x.
_READOUT = """
    o_double = Cast <to = 11> (o)
    weight_double = Cast <to = 11> (weight)
    weight_unit = Mul (weight_double, unit)
    weight_row = Reshape (weight_unit, as_row)
    bias_double = Cast <to = 11> (bias)
    sum = MatMul (weight_row, o_double)
    sum_biased = Add (sum, bias_double)
    rounded = Cast <to = 1> (sum_biased)
    shape = Shape (x)
    shaped = Reshape ALLOWZERO (rounded, shape)
    shaped_negated = Sub (zero, shaped)
    signed = Where (mirrored, shaped_negated, shaped)
    rescaled = Mul (signed, scale)
    missing = IsNaN (x)
    y_ranked = Where (missing, x, rescaled)
    y = Reshape ALLOWZERO (y_ranked, shape)
    """


def call(result: str, x: str, prefix: str, metered: bool, *, scale: str | None = None) -> str:
    """A call of `MbeNeuron` on `x` with the parameters `prefix`*; with a `scale`, by the polarity of the calling op."""
    polarity = "@polarity" if scale else "0"
    unscaled = "" if scale else f"{prefix}unit = Constant <value = float[1] {{1}}> ()"
    arguments = ", ".join([x, *(prefix + parameter for parameter in PARAMETERS), scale or f"{prefix}unit"])
    results = f"{result}, {prefix}spikes" if metered else result
    return f"""
    {unscaled}
    {results} = {DOMAIN}.MbeNeuron <polarity: int = {polarity}> ({arguments})
    """

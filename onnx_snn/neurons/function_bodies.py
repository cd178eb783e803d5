# SPDX-License-Identifier: Apache-2.0
"""Bodies of the functions that define the spiking ops in standard ONNX ops, as ONNX text.

The bodies of `MbeNeuron` come in two forms with the same results: `Body.LOOP` runs the neuron step by step in an ONNX
`Loop`, `Body.CLOSED` evaluates the closed form of halving neurons. Statements are named like the symbols in
`onnx_snn.neurons.mbe` and `onnx_snn.neurons.composite`, which compute the same in NumPy.

Reductions run in float64 and are rounded once to float32, which is what lets every runtime agree bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import onnx

from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import (
    DOMAIN,
    MBE_NEURON,
    OPERATORS,
    PARAMETERS,
    SPIKING_LAYER_NORMALIZATION,
    SPIKING_RMS_NORMALIZATION,
    SPIKING_SOFTMAX,
    VERSION,
    Body,
    Operator,
)

ALLOWZERO_OPSET = 14
"""From here on Reshape can restore a shape that has a zero in it."""

REDUCE_AXES_INPUT_OPSET = 18
"""From here on ReduceMax takes its axes as an input."""


def function_protos(
    names: Iterable[str], *, opset: int, body: Body = Body.LOOP, metered: bool = False
) -> list[onnx.FunctionProto]:
    """The functions that define the ops `names`, `MbeNeuron` included wherever one of them calls it.

    Args:
        names: op types of domain `onnx_snn`.
        opset: version of the standard domain that the model imports; bodies are written for it.
        body: time-step loop or closed form. `Body.CLOSED` is only valid for halving neurons.
        metered: whether every op also returns its spikes.
    """
    needed = {MBE_NEURON.name, *names}
    return [
        onnx.parser.parse_function(_text(operator, opset, body, metered))
        for name, operator in OPERATORS.items()
        if name in needed
    ]


def closed_body_fits(neurons: Iterable[MbeNeuron]) -> bool:
    """Whether `Body.CLOSED` computes every one of `neurons`."""
    return all(neuron.halving is not None for neuron in neurons)


def _text(operator: Operator, opset: int, body: Body, metered: bool) -> str:
    """ONNX text of the function of `operator`."""
    statements = {
        MBE_NEURON.name: lambda: _mbe_neuron(opset, body, metered),
        SPIKING_SOFTMAX.name: lambda: _softmax(opset, metered),
        SPIKING_LAYER_NORMALIZATION.name: lambda: _layer_normalization(metered),
        SPIKING_RMS_NORMALIZATION.name: lambda: _rms_normalization(metered),
    }[operator.name]()
    attributes = "<polarity>" if operator.polarized else ""
    signature = f"{operator.name} {attributes} ({', '.join(operator.inputs)})"
    header = f'<domain: "{DOMAIN}", opset_import: ["" : {opset}, "{DOMAIN}" : {VERSION}]>'
    return f"{header} {signature} => ({', '.join(operator.outputs(metered))}) {{ {statements} }}"


def _mbe_neuron(opset: int, body: Body, metered: bool) -> str:
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
    """The definition of the neuron; `spikes` [S, N] are scanned out where they are metered."""
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
# 2 / bit - 1. Dividing the gain by the bit is an exact shift, so levels come straight from one product. Whatever
# Clip makes of a NaN stays in its own column of the sum and is replaced by x in the end.
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

# 0 - y rather than Neg(y): a zero output is +0 on every runtime, also where Where does not keep the sign of zero.
# The last Reshape gives a scalar x, to which scale [1] adds an axis, its rank back.
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


def _call(result: str, x: str, prefix: str, metered: bool, *, scale: str | None = None) -> str:
    """A call of `MbeNeuron` on `x` with the parameters named `prefix`...; a scaled one has the op's polarity."""
    polarity = "@polarity" if scale else "0"
    unscaled = "" if scale else f"{prefix}unit = Constant <value = float[1] {{1}}> ()"
    arguments = ", ".join([x, *(prefix + parameter for parameter in PARAMETERS), scale or f"{prefix}unit"])
    results = f"{result}, {prefix}spikes" if metered else result
    return f"""
    {unscaled}
    {results} = {DOMAIN}.MbeNeuron <polarity: int = {polarity}> ({arguments})
    """


_LOWEST_EXPONENT = -150
"""One below the exponent of the smallest positive float32."""

_POWERS_OF_TWO = ", ".join(repr(math.ldexp(1.0, e)) for e in range(_LOWEST_EXPONENT, 130))
"""Powers of two over the exponents of float32, with margins: looked up, because Pow need not be exact."""

# v = mantissa * 2**exponent with mantissa in [1, 2). Log2 only guesses the exponent; the comparisons mend it.
_FREXP = f"""
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


def _reciprocal(result: str, metered: bool) -> str:
    """result = 1 / v by the reciprocal neuron on [0.5, 1): v = mantissa * 2**e, 1/v = (1/mantissa) * 2**-e."""
    return f"""
    {_FREXP}
    halved_exponent = Add (exponent, one_double)
    {_mantissa("halved_exponent")}
    {_call("mantissa_reciprocal", "mantissa", "reciprocal_", metered)}
    reciprocal_shift = Neg (halved_exponent)
    exceptional = Div (unity, v)
    {_scaled_back(result, "mantissa_reciprocal", "reciprocal_shift", "exceptional")}
    """


def _reciprocal_square_root(result: str, metered: bool) -> str:
    """result = 1 / sqrt(v) by the rsqrt neuron on [0.5, 2): v = mantissa * 2**e with e even."""
    return f"""
    {_FREXP}
    exponent_next = Add (exponent, one_double)
    half_real = Div (exponent_next, two_double)
    half = Floor (half_real)
    even_exponent = Mul (half, two_double)
    {_mantissa("even_exponent")}
    {_call("mantissa_rsqrt", "mantissa", "rsqrt_", metered)}
    rsqrt_shift = Neg (half)
    v_root = Sqrt (v)
    exceptional = Div (unity, v_root)
    {_scaled_back(result, "mantissa_rsqrt", "rsqrt_shift", "exceptional")}
    """


_LOWEST_FLOAT = -3.4028234663852886e38
"""The lowest finite float32. It takes the place of NaN where a maximum is taken: onnxruntime's ReduceMax may lose what
comes before a NaN, and a maximum that is too small gives indices beyond the table of powers. Its row is NaN anyway."""

_LOWEST_NORMAL = -126
"""2**-126 is the smallest normal float32; smaller exponentials are zero against the row's largest, which is 1."""


def _softmax(opset: int, metered: bool) -> str:
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
    {_call("power_of_fraction", "fraction", "exp2_", metered)}
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
    {_reciprocal("inverse", metered)}
    y = Mul (exponential, inverse)
    """


_NEGATIVE_POWERS = ", ".join(repr(math.ldexp(1.0, e)) for e in range(_LOWEST_NORMAL, 1))

# 1/n of the mean is a division of the float64 sum, so that it is rounded like the kernel's.
_MEAN_SETUP = """
    norm_axis = Constant <value = int64[1] {-1}> ()
    norm_last = Constant <value = int64 {-1}> ()
    x_shape = Shape (x)
    length_int = Gather (x_shape, norm_last)
    length = Cast <to = 11> (length_int)
    """


def _normalized(metered: bool) -> str:
    """normalized = coded * 1/sqrt(mean(coded**2) + epsilon), where coded = MbeNeuron(deviation)."""
    return f"""
    {_call("coded", "deviation", "deviation_", metered, scale="deviation_scale")}
    coded_double = Cast <to = 11> (coded)
    squared = Mul (coded_double, coded_double)
    squared_sum = ReduceSum <keepdims = 1> (squared, norm_axis)
    variance_double = Div (squared_sum, length)
    variance = Cast <to = 1> (variance_double)
    v = Add (variance, epsilon)
    {_reciprocal_square_root("inverse_deviation", metered)}
    normalized = Mul (coded, inverse_deviation)
    """


def _layer_normalization(metered: bool) -> str:
    """y = normalized(x - mean(x)) * gamma + beta over the last axis; the mean is taken exactly."""
    return f"""
    {_MEAN_SETUP}
    x_double = Cast <to = 11> (x)
    x_sum = ReduceSum <keepdims = 1> (x_double, norm_axis)
    mean_double = Div (x_sum, length)
    mean = Cast <to = 1> (mean_double)
    deviation = Sub (x, mean)
    {_normalized(metered)}
    amplified = Mul (normalized, gamma)
    y = Add (amplified, beta)
    """


def _rms_normalization(metered: bool) -> str:
    """y = normalized(x) * gamma over the last axis."""
    return f"""
    {_MEAN_SETUP}
    deviation = Identity (x)
    {_normalized(metered)}
    y = Mul (normalized, gamma)
    """

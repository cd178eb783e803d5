# SPDX-License-Identifier: Apache-2.0
"""The body of `MbeNeuron`, as a loop over the time steps or in closed form, and calls of it from other bodies.

The statements are named like the symbols in `onnx_snn.neurons.mbe`, which computes the same in NumPy.
"""

from __future__ import annotations

from onnx_snn.neurons.bodies import closed_form
from onnx_snn.neurons.bodies.guarantees import Guarantees
from onnx_snn.neurons.bodies.statements import Target, allowzero, in_subgraph, positive_zero
from onnx_snn.neurons.opset import DOMAIN, PARAMETERS, Body


def mbe_neuron(target: Target, body: Body, guarantees: Guarantees, metered: bool) -> str:
    """x -> a -> membrane [N, elements] -> accumulated intensity o [N, elements] -> y in the shape of x.

    Spikes are counted by the loop over the time steps, so that a metered body has it in either form.
    """
    closed = body is Body.CLOSED and not metered
    sign, signed = _SIGN_BY_SLOPE if guarantees.silent_at_rest else _SIGN_BY_SELECTION
    weights, product, rounded = _IN_FLOAT32 if guarantees.float32_sums else _IN_FLOAT64
    readout = _READOUT.replace("ALLOWZERO", allowzero(target))
    statements = [
        _PARAMETERS,
        closed_form.parameters(guarantees) if closed else _LOOP_PARAMETERS,
        weights,
        "scaled = Div (x, scale)",
        sign,
        _MEMBRANE,
        closed_form.weighted_sum(product, guarantees)
        if closed
        else _time_loop(metered) + product.replace("RESULT", "sum"),
        rounded,
        readout.replace("SIGNED", signed),
    ]
    results = {"y": "x", "spikes": "once"} if metered else {"y": "x"}
    return in_subgraph("".join(statements), results)


_PARAMETERS = """
    zero = Constant <value = float {0}> ()
    odd_int = Constant <value_int: int = @polarity> ()
    u_rest_column = Flatten <axis = 1> (u_rest)
    gain_column = Flatten <axis = 1> (gain)
    """

_MEMBRANE = """
    row = Flatten <axis = 0> (magnitude)
    centred = Sub (row, u_rest_column)
    """

_LOOP_PARAMETERS = """
    last = Constant <value = int64[1] {2}> ()
    first = Constant <value = int64 {0}> ()
    threshold_columns = Unsqueeze (threshold, last)
    reset_columns = Unsqueeze (reset, last)
    intensity_columns = Unsqueeze (intensity, last)
    kernel_shape = Shape (threshold)
    steps = Gather (kernel_shape, first)
    """


def _time_loop(metered: bool) -> str:
    """The definition of the neuron as a Loop; with `metered`, it also returns `spikes` [S, N]."""
    count = "s_int = Cast <to = 7> (s) fired = ReduceSum <keepdims = 0> (s_int, count_axis)" if metered else ""
    step = f"""step (int64 t, bool go_in, float[] u_now, float[] o_now) =>
        (bool go, float[] u_next, float[] o_next{", int64[] fired" if metered else ""}) {{
            go = Identity (go_in)
            threshold_t = Gather (threshold_columns, t)
            reset_t = Gather (reset_columns, t)
            intensity_t = Gather (intensity_columns, t)
            s = GreaterOrEqual (u_now, threshold_t)
            u_fired = Sub (u_now, reset_t)
            u_next = Where (s, u_fired, u_now)
            s_float = Cast <to = 1> (s)
            o_fired = Mul (s_float, intensity_t)
            o_next = Add (o_now, o_fired)
            {count}
        }}"""
    return f"""
    u = Mul (centred, gain_column)
    count_axis = Constant <value = int64[1] {{1}}> ()
    u_shape = Shape (u)
    o_initial = ConstantOfShape <value = float[1] {{0}}> (u_shape)
    u_final, o{", spikes" if metered else ""} =
        Loop (steps, go_on, u, o_initial) <body = {step}>
    """


# Statements before the subgraph, for the product with the weights, and from the sum to the output of the bank. An Add
# of a bias of 0 is nothing to onnxruntime (NoopElimination), and a sum of -0 would stay; a Sum is left alone.
_IN_FLOAT32 = (
    "weight_row = Flatten <axis = 0> (weight)",
    "RESULT = MatMul (weight_row, o)",
    "rounded = Sum (sum, bias)",
)

_IN_FLOAT64 = (
    """
    weight_double = Cast <to = 11> (weight)
    weight_row = Flatten <axis = 0> (weight_double)
    bias_double = Cast <to = 11> (bias)
    """,
    """
    o_double = Cast <to = 11> (o)
    RESULT = MatMul (weight_row, o_double)
    """,
    """
    sum_biased = Sum (sum, bias_double)
    rounded = Cast <to = 1> (sum_biased)
    """,
)

# The slope takes every normal number beyond 1. Only odd neurons can have a sign of -1.
_SIGN_BY_SLOPE = (
    """
    one = Constant <value = float {1}> ()
    slope = Constant <value = float {1.7014118346046923e38}> ()
    signs = Constant <value = float[2] {1, -1}> ()
    lowest_sign = Gather (signs, odd_int)
    steep = Mul (scaled, slope)
    steep_raised = Max (steep, lowest_sign)
    sign = Min (steep_raised, one)
    magnitude = Mul (scaled, sign)
    """,
    f"""
    signed_with_zeros = Mul (shaped, sign)
    {positive_zero("signed", "signed_with_zeros")}
    """,
)

# 0 - y rather than Neg(y), so that a zero output is +0 on every runtime, also where Where loses the sign of zero.
_SIGN_BY_SELECTION = (
    """
    odd = Cast <to = 9> (odd_int)
    negative = Less (scaled, zero)
    mirrored = And (negative, odd)
    negated = Neg (scaled)
    magnitude = Where (mirrored, negated, scaled)
    """,
    """
    shaped_negated = Sub (zero, shaped)
    signed = Where (mirrored, shaped_negated, shaped)
    """,
)

# The last Reshape removes the axis that the scale [1] adds to a scalar x.
_READOUT = """
    shape = Shape (x)
    shaped = Reshape ALLOWZERO (rounded, shape)
    SIGNED
    rescaled = Mul (signed, scale)
    missing = IsNaN (x)
    y_ranked = Where (missing, x, rescaled)
    y = Reshape ALLOWZERO (y_ranked, shape)
    """


def call(
    result: str, x: str, prefix: str, metered: bool, *, scale: str | None = None, spikes: str | None = None
) -> str:
    """A call of `MbeNeuron` on `x` with the parameters `prefix`*; with a `scale`, by the polarity of the calling op.

    The counts of a `metered` one are `spikes`, by default `prefix`spikes.
    """
    polarity = "@polarity" if scale else "0"
    unscaled = "" if scale else f"{prefix}unit = Constant <value = float[1] {{1}}> ()"
    arguments = ", ".join([x, *(prefix + parameter for parameter in PARAMETERS), scale or f"{prefix}unit"])
    results = f"{result}, {spikes or f'{prefix}spikes'}" if metered else result
    return f"""
    {unscaled}
    {results} = {DOMAIN}.MbeNeuron <polarity: int = {polarity}> ({arguments})
    """

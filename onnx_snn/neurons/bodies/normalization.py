# SPDX-License-Identifier: Apache-2.0
"""The bodies of `SpikingLayerNormalization` and `SpikingRMSNormalization`, over the last axis."""

from __future__ import annotations

from onnx_snn.neurons.bodies import halving
from onnx_snn.neurons.bodies.mantissas import CONSTANTS, reciprocal_square_root
from onnx_snn.neurons.bodies.mbe_neuron import call
from onnx_snn.neurons.bodies.statements import ONCE, in_subgraph, reduced

# The mean divides the float64 sum by n, so that it is rounded like that of the kernel.
_LENGTH = """
    norm_axis = Constant <value = int64[1] {-1}> ()
    norm_last = Constant <value = int64 {-1}> ()
    x_shape = Shape (x)
    length_int = Gather (x_shape, norm_last)
    length = Cast <to = 11> (length_int)
    """

_DEVIATION = """
    x_double = Cast <to = 11> (x)
    x_sum = ReduceSum <keepdims = 1> (x_double, norm_axis)
    mean_double = Div (x_sum, length)
    mean = Cast <to = 1> (mean_double)
    deviation = Sub (x, mean)
    """

_AFFINE = """
    amplified = Mul (normalized, gamma)
    y = Add (amplified, beta)
    """

_SCALED = "y = Mul (normalized, gamma)"


def _normalized(affine: str, metered: bool) -> str:
    """y = affine(normalized), where normalized = coded / sqrt(mean(coded**2) + epsilon), coded = MbeNeuron(deviation).

    Args:
        affine: statements from `normalized` to `y`.
        metered: whether spikes are counted.
    """
    statements = f"""
    coded_double = Cast <to = 11> (coded)
    squared = Mul (coded_double, coded_double)
    squared_sum = ReduceSum <keepdims = 1> (squared, norm_axis)
    variance_double = Div (squared_sum, length)
    variance = Cast <to = 1> (variance_double)
    v = Sum (variance, epsilon)
    {reciprocal_square_root("inverse_deviation", metered)}
    normalized = Mul (coded, inverse_deviation)
    {affine}
    """
    results = {"y": "x", "rsqrt_spikes": "norm_axis"} if metered else {"y": "x"}
    return f"""
    {call("coded", "deviation", "deviation_", metered, scale="deviation_scale")}
    {in_subgraph(statements, results)}
    """


def layer_normalization(metered: bool) -> str:
    """y = normalized(x - mean(x)) * gamma + beta over the last axis; the mean is computed without spikes."""
    return ONCE + CONSTANTS + _LENGTH + _DEVIATION + _normalized(_AFFINE, metered)


def rms_normalization(metered: bool) -> str:
    """y = normalized(x) * gamma over the last axis."""
    return f"{ONCE} {CONSTANTS} {_LENGTH} deviation = Identity (x) {_normalized(_SCALED, metered)}"


def halving_layer_normalization(opset: int, halving_code: bool) -> str:
    """Layer normalization whose root is computed by a halving neuron, where variances are finite.

    Args:
        opset: version of the standard operators.
        halving_code: whether the deviation is coded by a halving neuron as well, and not by a call. A row that holds a
            number that is not finite has such a mean, by which it becomes NaN.
    """
    if not halving_code:
        return _HALVING_ROOT + _DEVIATION + _coded_by_call("deviation") + _root_in_subgraph(_AFFINE, opset)
    statements = f"""
    {_DEVIATION}
    {halving.signed_numbers("coded", "deviation", "deviation_", "deviation_scale", opset)}
    reading = Mul (mean, zero)
    {_by_halving_root("epsilon, reading", opset)}
    {_AFFINE}
    """
    return _HALVING_ROOT + _HALVING_CODE + in_subgraph(statements, {"y": "x"})


def halving_rms_normalization(opset: int, halving_code: bool) -> str:
    """Root-mean-square normalization like `halving_layer_normalization`."""
    if not halving_code:
        return _HALVING_ROOT + _coded_by_call("x") + _root_in_subgraph(_SCALED, opset)
    statements = f"""
    {halving.signed_elements("coded", "x", "deviation_", "deviation_scale", opset)}
    {_by_halving_root("epsilon", opset)}
    {_SCALED}
    """
    return _HALVING_ROOT + _HALVING_CODE + in_subgraph(statements, {"y": "x"})


_HALVING_ROOT = f"""
    {ONCE}
    {_LENGTH}
    {halving.CONSTANTS}
    {halving.ROOT_CONSTANTS}
    {halving.rows_parameters("rsqrt_")}
    """

_HALVING_CODE = halving.SIGN_CONSTANTS + halving.elements_parameters("deviation_")


def _coded_by_call(deviation: str) -> str:
    return call("coded", deviation, "deviation_", metered=False, scale="deviation_scale")


def _root_in_subgraph(affine: str, opset: int) -> str:
    return in_subgraph(_by_halving_root("epsilon", opset) + affine, {"y": "x"})


def _by_halving_root(added: str, opset: int) -> str:
    """normalized = coded / sqrt(mean(coded**2) + `added`)."""
    return f"""
    coded_double = Cast <to = 11> (coded)
    squared_sum = {reduced("ReduceSumSquare", "coded_double", "norm_axis", opset)}
    variance_double = Div (squared_sum, length)
    variance = Cast <to = 1> (variance_double)
    v = Sum (variance, {added})
    {halving.inverse_root("inverse_deviation", "v")}
    normalized = Mul (coded, inverse_deviation)
    """

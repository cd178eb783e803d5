# SPDX-License-Identifier: Apache-2.0
"""The bodies of `SpikingLayerNormalization` and `SpikingRMSNormalization`, over the last axis."""

from __future__ import annotations

from onnx_snn.neurons.bodies import halving
from onnx_snn.neurons.bodies.mantissas import CONSTANTS, reciprocal_square_root
from onnx_snn.neurons.bodies.mbe_neuron import call
from onnx_snn.neurons.bodies.statements import in_subgraph, reduced

_AXIS = "norm_axis = Constant <value = int64[1] {-1}> ()"


def deviation(opset: int) -> str:
    """deviation = x - mean(x)."""
    return f"""
    x_double = Cast <to = 11> (x)
    mean_double = {reduced("ReduceMean", "x_double", "norm_axis", opset)}
    mean = Cast <to = 1> (mean_double)
    deviation = Sub (x, mean)
    """


_AFFINE = """
    amplified = Mul (normalized, gamma)
    y = Add (amplified, beta)
    """

_SCALED = "y = Mul (normalized, gamma)"


def _variance(opset: int) -> str:
    """variance = mean(coded**2)."""
    return f"""
    coded_double = Cast <to = 11> (coded)
    squared = Mul (coded_double, coded_double)
    variance_double = {reduced("ReduceMean", "squared", "norm_axis", opset)}
    variance = Cast <to = 1> (variance_double)
    """


def _normalized(deviation: str, affine: str, opset: int, metered: bool) -> str:
    """y = affine(normalized), where normalized = coded / sqrt(mean(coded**2) + epsilon), coded = MbeNeuron(deviation).

    Args:
        deviation: statements for `deviation`.
        affine: statements from `normalized` to `y`.
        opset: version of the standard operators.
        metered: whether spikes are counted.
    """
    statements = f"""
    {CONSTANTS}
    {_AXIS}
    {deviation}
    {call("coded", "deviation", "deviation_", metered, scale="deviation_scale")}
    {_variance(opset)}
    v = Sum (variance, epsilon)
    {reciprocal_square_root("inverse_deviation", metered)}
    normalized = Mul (coded, inverse_deviation)
    {affine}
    """
    return in_subgraph(
        statements, {"y": "x", "deviation_spikes": "once", "rsqrt_spikes": "once"} if metered else {"y": "x"}
    )


def layer_normalization(opset: int, metered: bool) -> str:
    """y = normalized(x - mean(x)) * gamma + beta over the last axis; the mean is computed without spikes."""
    return _normalized(deviation(opset), _AFFINE, opset, metered)


def rms_normalization(opset: int, metered: bool) -> str:
    """y = normalized(x) * gamma over the last axis."""
    return _normalized("deviation = Identity (x)", _SCALED, opset, metered)


def halving_layer_normalization(opset: int, halving_code: bool) -> str:
    """Layer normalization whose root is computed by a halving neuron, where variances are finite.

    Args:
        opset: version of the standard operators.
        halving_code: whether the deviation is coded by a halving neuron as well, and not by a call.
    """
    if not halving_code:
        return _by_halving_root(deviation(opset) + _coded_by_call("deviation"), _AFFINE, opset)
    code = f"""
    {_HALVING_CODE}
    {deviation(opset)}
    {halving.signed_elements("coded", "deviation", "deviation_", "deviation_scale", opset)}
    """
    return _by_halving_root(code, _AFFINE, opset)


def halving_rms_normalization(opset: int, halving_code: bool) -> str:
    """Root-mean-square normalization like `halving_layer_normalization`."""
    if not halving_code:
        return _by_halving_root(_coded_by_call("x"), _SCALED, opset)
    code = f"""
    {_HALVING_CODE}
    {halving.signed_elements("coded", "x", "deviation_", "deviation_scale", opset)}
    """
    return _by_halving_root(code, _SCALED, opset)


_HALVING_CODE = halving.SIGN_CONSTANTS + halving.elements_parameters("deviation_")


def _coded_by_call(deviation: str) -> str:
    return call("coded", deviation, "deviation_", metered=False, scale="deviation_scale")


def _by_halving_root(code: str, affine: str, opset: int) -> str:
    """y = affine(normalized), where normalized = coded / sqrt(mean(coded**2) + epsilon); `code` computes coded."""
    statements = f"""
    {_AXIS}
    {halving.CONSTANTS}
    {halving.ROOT_CONSTANTS}
    {halving.rows_parameters("rsqrt_")}
    {code}
    {_variance(opset)}
    v = Sum (variance, epsilon)
    {halving.inverse_root("inverse_deviation", "v")}
    normalized = Mul (coded, inverse_deviation)
    {affine}
    """
    return in_subgraph(statements, {"y": "x"})

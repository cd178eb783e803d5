# SPDX-License-Identifier: Apache-2.0
"""The bodies of `SpikingLayerNormalization` and `SpikingRMSNormalization`, over the last axis."""

from __future__ import annotations

from onnx_snn.neurons.bodies import halving
from onnx_snn.neurons.bodies.guarantees import Guarantees
from onnx_snn.neurons.bodies.mantissas import constants, reciprocal_square_root
from onnx_snn.neurons.bodies.mbe_neuron import call
from onnx_snn.neurons.bodies.statements import Target, in_subgraph, reduced

_AXIS = "norm_axis = Constant <value = int64[1] {-1}> ()"


def deviation(target: Target) -> str:
    """deviation = x - mean(x)."""
    return f"""
    x_wide = Cast <to = {target.wide_type}> (x)
    mean_wide = {reduced("ReduceMean", "x_wide", "norm_axis", target)}
    mean = Cast <to = 1> (mean_wide)
    deviation = Sub (x, mean)
    """


_AFFINE = """
    amplified = Mul (normalized, gamma)
    y = Add (amplified, beta)
    """

_SCALED = "y = Mul (normalized, gamma)"


def _variance(target: Target) -> str:
    """variance = mean(coded**2)."""
    return f"""
    coded_wide = Cast <to = {target.wide_type}> (coded)
    squared = Mul (coded_wide, coded_wide)
    variance_wide = {reduced("ReduceMean", "squared", "norm_axis", target)}
    variance = Cast <to = 1> (variance_wide)
    """


def _normalized(deviation: str, affine: str, target: Target, metered: bool) -> str:
    """y = affine(normalized), where normalized = coded / sqrt(mean(coded**2) + epsilon), coded = MbeNeuron(deviation).

    Args:
        deviation: statements for `deviation`.
        affine: statements from `normalized` to `y`.
        target: what the body is written for.
        metered: whether spikes are counted.
    """
    statements = f"""
    {constants(target)}
    {_AXIS}
    {deviation}
    {call("coded", "deviation", "deviation_", metered, scale="deviation_scale")}
    {_variance(target)}
    v = Sum (variance, epsilon)
    {reciprocal_square_root("inverse_deviation", target, metered)}
    normalized = Mul (coded, inverse_deviation)
    {affine}
    """
    return in_subgraph(
        statements, {"y": "x", "deviation_spikes": "once", "rsqrt_spikes": "once"} if metered else {"y": "x"}
    )


def layer_normalization(target: Target, metered: bool) -> str:
    """y = normalized(x - mean(x)) * gamma + beta over the last axis; the mean is computed without spikes."""
    return _normalized(deviation(target), _AFFINE, target, metered)


def rms_normalization(target: Target, metered: bool) -> str:
    """y = normalized(x) * gamma over the last axis."""
    return _normalized("deviation = Identity (x)", _SCALED, target, metered)


def halving_layer_normalization(target: Target, guarantees: Guarantees) -> str:
    """Layer normalization whose root is computed by a halving neuron, where variances are finite.

    Args:
        target: what the body is written for.
        guarantees: whether the deviation is coded by a halving neuron as well, and not by a call, and of which kind.
    """
    if not guarantees.halving_neurons:
        return _by_halving_root(deviation(target) + _coded_by_call("deviation"), _AFFINE, target)
    code = f"""
    {_code_parameters(guarantees)}
    {deviation(target)}
    {halving.signed_elements("coded", "deviation", "deviation_", "deviation_scale", target, guarantees)}
    """
    return _by_halving_root(code, _AFFINE, target)


def halving_rms_normalization(target: Target, guarantees: Guarantees) -> str:
    """Root-mean-square normalization like `halving_layer_normalization`."""
    if not guarantees.halving_neurons:
        return _by_halving_root(_coded_by_call("x"), _SCALED, target)
    code = f"""
    {_code_parameters(guarantees)}
    {halving.signed_elements("coded", "x", "deviation_", "deviation_scale", target, guarantees)}
    """
    return _by_halving_root(code, _SCALED, target)


def _code_parameters(guarantees: Guarantees) -> str:
    return halving.sign_constants(guarantees) + halving.elements_parameters("deviation_")


def _coded_by_call(deviation: str) -> str:
    return call("coded", deviation, "deviation_", metered=False, scale="deviation_scale")


def _by_halving_root(code: str, affine: str, target: Target) -> str:
    """y = affine(normalized), where normalized = coded / sqrt(mean(coded**2) + epsilon); `code` computes coded."""
    statements = f"""
    {_AXIS}
    {halving.CONSTANTS}
    {halving.rows_parameters("rsqrt_")}
    {code}
    {_variance(target)}
    v = Sum (variance, epsilon)
    {halving.inverse_root("inverse_deviation", "v", target)}
    normalized = Mul (coded, inverse_deviation)
    {affine}
    """
    return in_subgraph(statements, {"y": "x"})

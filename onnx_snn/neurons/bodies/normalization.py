# SPDX-License-Identifier: Apache-2.0
"""The bodies of `SpikingLayerNormalization` and `SpikingRMSNormalization`, over the last axis."""

from __future__ import annotations

from onnx_snn.neurons.bodies.closed_form import HALVING_CONSTANTS
from onnx_snn.neurons.bodies.mantissas import CONSTANTS, reciprocal_square_root
from onnx_snn.neurons.bodies.mbe_neuron import call
from onnx_snn.neurons.bodies.statements import ONCE, in_subgraph

# The mean divides the float64 sum by n, so that it is rounded like that of the kernel.
_MEAN_SETUP = (
    ONCE
    + CONSTANTS
    + """
    norm_axis = Constant <value = int64[1] {-1}> ()
    norm_last = Constant <value = int64 {-1}> ()
    x_shape = Shape (x)
    length_int = Gather (x_shape, norm_last)
    length = Cast <to = 11> (length_int)
    """
)


def _normalized(affine: str, metered: bool, inline: bool) -> str:
    """y = affine(normalized), where normalized = coded / sqrt(mean(coded**2) + epsilon), coded = MbeNeuron(deviation).

    Args:
        affine: statements from `normalized` to `y`.
        metered: whether spikes are counted.
        inline: whether the neuron of the root is written out in place of a call; it must be halving, with sums in
            float32.
    """
    statements = f"""
    coded_double = Cast <to = 11> (coded)
    squared = Mul (coded_double, coded_double)
    squared_sum = ReduceSum <keepdims = 1> (squared, norm_axis)
    variance_double = Div (squared_sum, length)
    variance = Cast <to = 1> (variance_double)
    v = Add (variance, epsilon)
    {reciprocal_square_root("inverse_deviation", metered, inline)}
    normalized = Mul (coded, inverse_deviation)
    {affine}
    """
    results = {"y": "x", "rsqrt_spikes": "norm_axis"} if metered else {"y": "x"}
    return f"""
    {HALVING_CONSTANTS if inline else ""}
    {call("coded", "deviation", "deviation_", metered, scale="deviation_scale")}
    {in_subgraph(statements, results)}
    """


def layer_normalization(metered: bool, inline: bool) -> str:
    """y = normalized(x - mean(x)) * gamma + beta over the last axis; the mean is computed without spikes."""
    affine = """
    amplified = Mul (normalized, gamma)
    y = Add (amplified, beta)
    """
    return f"""
    {_MEAN_SETUP}
    x_double = Cast <to = 11> (x)
    x_sum = ReduceSum <keepdims = 1> (x_double, norm_axis)
    mean_double = Div (x_sum, length)
    mean = Cast <to = 1> (mean_double)
    deviation = Sub (x, mean)
    {_normalized(affine, metered, inline)}
    """


def rms_normalization(metered: bool, inline: bool) -> str:
    """y = normalized(x) * gamma over the last axis."""
    return f"""
    {_MEAN_SETUP}
    deviation = Identity (x)
    {_normalized("y = Mul (normalized, gamma)", metered, inline)}
    """

# SPDX-License-Identifier: Apache-2.0
"""The bodies of `SpikingLayerNormalization` and `SpikingRMSNormalization`, over the last axis."""

from __future__ import annotations

from onnx_snn.neurons.bodies.mantissas import CONSTANTS, reciprocal_square_root
from onnx_snn.neurons.bodies.mbe_neuron import call

# The mean divides the float64 sum by n, so that it is rounded like that of the kernel.
_MEAN_SETUP = (
    CONSTANTS
    + """
    norm_axis = Constant <value = int64[1] {-1}> ()
    norm_last = Constant <value = int64 {-1}> ()
    x_shape = Shape (x)
    length_int = Gather (x_shape, norm_last)
    length = Cast <to = 11> (length_int)
    """
)


def _normalized(metered: bool) -> str:
    """normalized = coded * 1/sqrt(mean(coded**2) + epsilon), where coded = MbeNeuron(deviation)."""
    return f"""
    {call("coded", "deviation", "deviation_", metered, scale="deviation_scale")}
    coded_double = Cast <to = 11> (coded)
    squared = Mul (coded_double, coded_double)
    squared_sum = ReduceSum <keepdims = 1> (squared, norm_axis)
    variance_double = Div (squared_sum, length)
    variance = Cast <to = 1> (variance_double)
    v = Add (variance, epsilon)
    {reciprocal_square_root("inverse_deviation", metered)}
    normalized = Mul (coded, inverse_deviation)
    """


def layer_normalization(metered: bool) -> str:
    """y = normalized(x - mean(x)) * gamma + beta over the last axis; the mean is computed without spikes."""
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


def rms_normalization(metered: bool) -> str:
    """y = normalized(x) * gamma over the last axis."""
    return f"""
    {_MEAN_SETUP}
    deviation = Identity (x)
    {_normalized(metered)}
    y = Mul (normalized, gamma)
    """

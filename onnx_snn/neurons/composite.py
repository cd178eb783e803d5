# SPDX-License-Identifier: Apache-2.0
"""NumPy reference of the composite spiking ops: softmax and the normalizations as functions over MBE neurons.

Reductions run in float64 and are rounded once to float32; mantissas and exponents are split exactly. The functions
inside a converted file (`onnx_snn.neurons.function_bodies`) return the same bits, unless a float64 row sum loses about
29 bits by cancellation, so that the order of summation has an effect.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnx_snn.arrays import Float32
from onnx_snn.neurons.mbe import UNSCALED


class ScalarNeuron(Protocol):
    """A scalar function that is applied to each element: an `MbeNeuron` or a substitute for one."""

    def __call__(self, x: ArrayLike, scale: ArrayLike = ..., /) -> Float32:
        """Output for `x` [any shape]: f(x / scale) * scale."""


LOG2_E = np.float32(np.log2(np.e))
"""log2(e) as float32."""

LOWEST_NORMAL = np.float32(-126)
"""Exponent of the smallest normal float32. Smaller exponentials are set to 0: they are negligible relative to the
largest one of the row, which is 1."""


@np.errstate(all="ignore")
def spiking_softmax(x: ArrayLike, exp2: ScalarNeuron, reciprocal: ScalarNeuron) -> Float32:
    """Softmax over the last axis of `x` [..., n] float32.

    e = 2**floor(z) * exp2(z - floor(z)) with z = (x - max x) * log2(e), and y = e * 1/sum(e).

    Args:
        x: float32 [..., n]; -inf gives probability 0, a row of -inf gives NaN like the exact softmax.
        exp2: neuron of 2**f on [0, 1].
        reciprocal: neuron of 1/m on [0.5, 1).
    """
    x = np.asarray(x, np.float32)
    z = (x - x.max(axis=-1, keepdims=True)) * LOG2_E
    vanishing = z < LOWEST_NORMAL
    z = np.where(vanishing, LOWEST_NORMAL, z)
    exponent = np.floor(z)
    shift = np.where(np.isnan(exponent), np.float32(0), exponent).astype(np.int32)
    power = np.ldexp(exp2(z - exponent), shift)
    exponential: Float32 = np.where(vanishing, np.float32(0), power) + np.float32(0)
    total = exponential.sum(axis=-1, keepdims=True, dtype=np.float64).astype(np.float32)
    return exponential * spiking_reciprocal(total, reciprocal)


@np.errstate(all="ignore")
def spiking_layer_normalization(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    epsilon: float,
    deviation: ScalarNeuron,
    rsqrt: ScalarNeuron,
    deviation_scale: ArrayLike = UNSCALED,
) -> Float32:
    """Layer normalization over the last axis of `x` [..., n] float32.

    d = x - mean(x) is coded by the identity neuron `deviation`; y = d / sqrt(mean(d**2) + epsilon) * gamma + beta,
    the inverse root by the neuron `rsqrt`. The mean is exact.
    """
    x = np.asarray(x, np.float32)
    mean = (x.sum(axis=-1, keepdims=True, dtype=np.float64) / x.shape[-1]).astype(np.float32)
    normalized = _normalized(x - mean, epsilon, deviation, rsqrt, deviation_scale)
    return normalized * np.asarray(gamma, np.float32) + np.asarray(beta, np.float32)


@np.errstate(all="ignore")
def spiking_rms_normalization(
    x: ArrayLike,
    gamma: ArrayLike,
    epsilon: float,
    deviation: ScalarNeuron,
    rsqrt: ScalarNeuron,
    deviation_scale: ArrayLike = UNSCALED,
) -> Float32:
    """Root-mean-square normalization over the last axis of `x` [..., n] float32: layer normalization without mean."""
    normalized = _normalized(np.asarray(x, np.float32), epsilon, deviation, rsqrt, deviation_scale)
    return normalized * np.asarray(gamma, np.float32)


@np.errstate(all="ignore")
def spiking_reciprocal(v: Float32, reciprocal: ScalarNeuron) -> Float32:
    """1/v through the neuron of 1/m on [0.5, 1): v = m * 2**e, 1/v = (1/m) * 2**-e; exact for 0, inf and NaN."""
    regular = (v > 0) & (v < np.inf)
    mantissa, exponent = np.frexp(np.where(regular, v, np.float32(1)).astype(np.float64))
    scaled = np.ldexp(reciprocal(mantissa).astype(np.float64), -exponent).astype(np.float32)
    return np.asarray(np.where(regular, scaled, np.float32(1) / v) + np.float32(0))


@np.errstate(all="ignore")
def spiking_rsqrt(v: Float32, rsqrt: ScalarNeuron) -> Float32:
    """1/sqrt(v) through the neuron of 1/sqrt(m) on [0.5, 2): v = m * 2**(2h), 1/sqrt(v) = (1/sqrt(m)) * 2**-h."""
    regular = (v > 0) & (v < np.inf)
    mantissa, exponent = np.frexp(np.where(regular, v, np.float32(1)).astype(np.float64))
    half: NDArray[np.int32] = exponent // 2
    mantissa = np.ldexp(mantissa, exponent - 2 * half)
    scaled = np.ldexp(rsqrt(mantissa).astype(np.float64), -half).astype(np.float32)
    return np.asarray(np.where(regular, scaled, np.float32(1) / np.sqrt(v)) + np.float32(0))


def _normalized(
    deviation_value: Float32, epsilon: float, deviation: ScalarNeuron, rsqrt: ScalarNeuron, deviation_scale: ArrayLike
) -> Float32:
    """coded / sqrt(mean(coded**2) + epsilon), where coded is the output of the neuron `deviation`."""
    coded = deviation(deviation_value, deviation_scale)
    squares = np.square(coded, dtype=np.float64).sum(axis=-1, keepdims=True)
    variance = (squares / coded.shape[-1]).astype(np.float32)
    return coded * spiking_rsqrt(variance + np.float32(epsilon), rsqrt)

# SPDX-License-Identifier: Apache-2.0
"""Formulas of scalar functions in float64, and what neurons see of their arguments.

All take and return arrays of any shape. Functions with parameters are made by functions of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from onnx_snn.arrays import Float64

Formula = Callable[[Float64], Float64]

BELOW_ONE = 1.0 - 2.0**-24
"""The largest float32 below 1: the inverse hyperbolic tangent of 1 is infinite."""

LEAST_BASE = 2.0**-60
"""The smallest base of a power with a negative exponent that neurons are fitted to; at 0 it is infinite."""

_elementwise_erf = np.frompyfunc(math.erf, 1, 1)


def erf(x: Float64) -> Float64:
    """The error function."""
    return np.asarray(_elementwise_erf(x), np.float64)


def sigmoid(x: Float64) -> Float64:
    """1 / (1 + exp(-x))."""
    return np.exp(-softplus(-x))


def softplus(x: Float64) -> Float64:
    """log(1 + exp(x))."""
    return np.logaddexp(0.0, x)


def gelu(x: Float64) -> Float64:
    """GELU by the error function."""
    return 0.5 * x * (1.0 + erf(x / math.sqrt(2.0)))


def gelu_tanh(x: Float64) -> Float64:
    """GELU by its approximation with tanh."""
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def hard_sigmoid(alpha: float, beta: float) -> Formula:
    """alpha * x + beta between 0 and 1."""
    return lambda x: np.clip(alpha * x + beta, 0.0, 1.0)


def leaky_relu(alpha: float) -> Formula:
    """x, times alpha below 0."""
    return lambda x: np.where(x < 0.0, alpha * x, x)


def elu(alpha: float) -> Formula:
    """x, and alpha * (exp(x) - 1) below 0."""
    return lambda x: np.where(x < 0.0, alpha * np.expm1(np.minimum(x, 0.0)), x)


def celu(alpha: float) -> Formula:
    """x, and alpha * (exp(x / alpha) - 1) below 0 (Barron, arXiv:1704.07483)."""
    return lambda x: np.maximum(x, 0.0) + np.minimum(alpha * np.expm1(np.minimum(x / alpha, 700.0)), 0.0)


def selu(alpha: float, gamma: float) -> Formula:
    """gamma * elu(alpha) (Klambauer et al., arXiv:1706.02515)."""
    return lambda x: gamma * elu(alpha)(x)


def angle(x: Float64) -> Float64:
    """The angle from -pi to pi that differs from x by whole turns."""
    angles = x - 2.0 * math.pi * np.round(x / (2.0 * math.pi))
    return np.clip(angles, -math.pi, math.pi)  # a large x may be rounded by more than the difference


def within_octave(x: Float64) -> Float64:
    """The number from -log(2) / 2 to log(2) / 2 that differs from x by whole multiples of log(2)."""
    remainders = x - math.log(2.0) * np.round(x / math.log(2.0))
    return np.clip(remainders, -0.5 * math.log(2.0), 0.5 * math.log(2.0))


def mantissa(x: Float64) -> Float64:
    """m in [0.5, 1) with |x| = m * 2**e; NaN for 0."""
    return np.where(x == 0.0, np.nan, np.frexp(np.abs(x))[0])


def even_mantissa(x: Float64) -> Float64:
    """m in [0.5, 2) with x = m * 2**(2h); NaN unless x is positive."""
    fraction, exponent = np.frexp(x)
    return np.where(x > 0.0, np.ldexp(fraction, exponent % 2), np.nan)


def centred_mantissa(x: Float64) -> Float64:
    """m in [0.75, 1.5) with x = m * 2**e; NaN unless x is positive."""
    fraction = np.frexp(x)[0]
    return np.where(x > 0.0, np.where(fraction < 0.75, 2.0 * fraction, fraction), np.nan)

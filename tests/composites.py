# SPDX-License-Identifier: Apache-2.0
"""Softmax and normalizations of neurons under test, and rows to give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from portable import parameters
from strategies import SPECIAL

from onnx_snn.arrays import Float32
from onnx_snn.neurons.bodies.guarantees import Guarantees
from onnx_snn.neurons.composite import (
    spiking_layer_normalization,
    spiking_rms_normalization,
    spiking_softmax,
)
from onnx_snn.neurons.mbe import MAX_TIMESTEPS, MbeNeuron, halving_neuron
from onnx_snn.neurons.opset import (
    SPIKING_LAYER_NORMALIZATION,
    SPIKING_RMS_NORMALIZATION,
    SPIKING_SOFTMAX,
    Operator,
)


def interpolation(function: Callable[[NDArray], NDArray], low: float, high: float, segments: int = 128) -> MbeNeuron:
    """`function` from `low` to `high` by straight lines of 2**T levels, one basis for each of `segments`."""
    knots = np.linspace(low, high, segments + 1)
    width = (high - low) / segments
    full_charge = 2 - 2.0 ** (1 - MAX_TIMESTEPS)
    weight = np.round(np.diff(function(knots)) / full_charge * 2**24) / 2**24
    bias = np.round(function(knots[:1])[0] * 2**24) / 2**24
    return halving_neuron(knots[:-1], np.full(segments, 2 / width), weight, bias, MAX_TIMESTEPS)


def identity(reach: float) -> MbeNeuron:
    """An odd code of [-reach, reach] with 2**18 levels on either side."""
    gain = np.full(4, 8 / reach)
    return halving_neuron(np.arange(4) * reach / 4, gain, 1 / gain, 0, MAX_TIMESTEPS, polarity=1)


EXP2 = interpolation(np.exp2, 0, 1)
RECIPROCAL = interpolation(np.reciprocal, 0.5, 1)
RSQRT = interpolation(lambda m: m**-0.5, 0.5, 2)
DEVIATION = identity(16)
EPSILON = np.array(1e-5, np.float32)


class Composite(NamedTuple):
    """A composite op under test: its NumPy reference and its operator inputs, both from `x`."""

    operator: Operator
    polarity: int
    numpy: Callable[[Float32], Float32]
    feeds: Callable[[Float32], dict[str, Float32]]


def softmax_of(exp2: MbeNeuron, reciprocal: MbeNeuron) -> Composite:
    neurons = parameters(exp2, "exp2_") | parameters(reciprocal, "reciprocal_")
    return Composite(SPIKING_SOFTMAX, 0, lambda x: spiking_softmax(x, exp2, reciprocal), lambda x: {"x": x, **neurons})


def affine(length: int) -> tuple[Float32, Float32]:
    """Gamma and beta of a row of `length` elements."""
    rng = np.random.default_rng(length)
    return rng.normal(1, 0.3, length).astype(np.float32), rng.normal(0, 0.5, length).astype(np.float32)


def powers(length: int) -> Float32:
    """A power of two for each of `length` channels."""
    return np.exp2(np.arange(length) % 5 - 2).astype(np.float32)


def norm_inputs(x: Float32, deviation: MbeNeuron, rsqrt: MbeNeuron, scaled: bool) -> dict[str, Float32]:
    neurons = parameters(deviation, "deviation_") | parameters(rsqrt, "rsqrt_")
    scale = powers(x.shape[-1]) if scaled else np.ones(1, np.float32)
    return {"x": x, "epsilon": EPSILON, "deviation_scale": scale, **neurons}


def layer_normalization_of(deviation: MbeNeuron, rsqrt: MbeNeuron, scaled: bool) -> Composite:
    def feeds(x: Float32) -> dict[str, Float32]:
        gamma, beta = affine(x.shape[-1])
        return norm_inputs(x, deviation, rsqrt, scaled) | {"gamma": gamma, "beta": beta}

    def numpy(x: Float32) -> Float32:
        scale = feeds(x)["deviation_scale"]
        return spiking_layer_normalization(x, *affine(x.shape[-1]), EPSILON, deviation, rsqrt, scale)

    return Composite(SPIKING_LAYER_NORMALIZATION, deviation.polarity, numpy, feeds)


def rms_normalization_of(deviation: MbeNeuron, rsqrt: MbeNeuron, scaled: bool) -> Composite:
    def feeds(x: Float32) -> dict[str, Float32]:
        return norm_inputs(x, deviation, rsqrt, scaled) | {"gamma": affine(x.shape[-1])[0]}

    def numpy(x: Float32) -> Float32:
        gamma, scale = affine(x.shape[-1])[0], feeds(x)["deviation_scale"]
        return spiking_rms_normalization(x, gamma, EPSILON, deviation, rsqrt, scale)

    return Composite(SPIKING_RMS_NORMALIZATION, deviation.polarity, numpy, feeds)


COMPOSITES = {
    "softmax": softmax_of(EXP2, RECIPROCAL),
    "layer_norm": layer_normalization_of(DEVIATION, RSQRT, scaled=False),
    "layer_norm_scaled": layer_normalization_of(DEVIATION, RSQRT, scaled=True),
    "rms_norm": rms_normalization_of(DEVIATION, RSQRT, scaled=False),
    "rms_norm_scaled": rms_normalization_of(DEVIATION, RSQRT, scaled=True),
}


def coarse(function: Callable[[NDArray], NDArray], low: float, high: float) -> MbeNeuron:
    """`function` in few levels, whose sums are exact in float32."""
    knots = np.linspace(low, high, 9)
    full_charge = 2 - 2.0**-3
    weight = np.round(np.diff(function(knots)) / full_charge * 2**14) / 2**14
    bias = np.round(function(knots[:1])[0] * 2**14) / 2**14
    return halving_neuron(knots[:-1], np.full(8, 16 / (high - low)), weight, bias, 4, gate=True)


COARSE_DEVIATION = halving_neuron([0.125, 1], [1, 1], [1, 2], 0, 8, gate=True, polarity=1)
COARSE_RSQRT = coarse(lambda m: m**-0.5, 0.5, 2)
COARSE = {
    "softmax": softmax_of(coarse(np.exp2, 0, 1), coarse(np.reciprocal, 0.5, 1)),
    "layer_norm": layer_normalization_of(COARSE_DEVIATION, COARSE_RSQRT, scaled=True),
    "rms_norm": rms_normalization_of(COARSE_DEVIATION, COARSE_RSQRT, scaled=True),
}
"""Composites whose bodies may rely on everything."""

EVERYTHING = Guarantees(
    float32_sums=True,
    silent_at_rest=True,
    ungated_singles=True,
    halving=True,
    regular_primitives=True,
    closed=True,
    one_basis=False,
)

every_composite = pytest.mark.parametrize("composite", COMPOSITES.values(), ids=COMPOSITES.keys())


def one_nan(values: Float32) -> Float32:
    """`values` with one and the same NaN for any NaN."""
    return np.where(np.isnan(values), np.float32(np.nan), values)


lengths = st.one_of(st.integers(1, 9), st.sampled_from([31, 64, 197]))


@st.composite
def rows(draw: st.DrawFn) -> Float32:
    """Rows of one magnitude each, denormal to overflowing; some masked, some with special values."""
    length = draw(lengths)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    exponents = st.one_of(st.integers(-3, 6), st.integers(-148, 126))
    magnitude = np.exp2(draw(hnp.arrays(np.float64, (8, 1), elements=exponents)))
    x = rng.normal(0, 1, (8, length)) * magnitude
    mask = draw(st.sampled_from([0, -np.inf, np.finfo(np.float32).min]))
    x[:3] = np.where(rng.random((3, length)) < 0.5, mask, x[:3])
    if draw(st.booleans()):
        x[5] = np.where(rng.random(length) < 0.2, rng.choice(SPECIAL, length), x[5])
        x[6] = mask
    with np.errstate(all="ignore"):
        return x.astype(np.float32).reshape(2, 4, length)

# SPDX-License-Identifier: Apache-2.0
"""Softmax and normalizations of neurons: NumPy, onnxruntime and the reference evaluator return the same bits.

A NaN in a row makes the whole row NaN, by arithmetic that may choose any payload, and with a maximum that
some runtimes take over the numbers only: payloads, and spikes within such a row, are not compared.

Sums in float64, rounded once, hide the order in which a runtime adds, short of a cancellation of some 29
bits, as in the mean of 2**60, 1 and -2**60: rows here have one magnitude each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from composites import (
    COARSE,
    COARSE_DEVIATION,
    COARSE_RSQRT,
    COMPOSITES,
    DEVIATION,
    EPSILON,
    EVERYTHING,
    RECIPROCAL,
    RSQRT,
    Composite,
    affine,
    coarse,
    every_composite,
    layer_normalization_of,
    one_nan,
    rows,
    softmax_of,
)
from hypothesis import given, settings
from numpy.typing import NDArray
from portable import OPSET, Portable, assert_same_bits, model_of
from strategies import SPECIAL, neurons

from onnx_snn.arrays import Float32
from onnx_snn.neurons.bodies.guarantees import Guarantees
from onnx_snn.neurons.composite import (
    LOG2_E,
    spiking_reciprocal,
    spiking_rms_normalization,
    spiking_rsqrt,
)
from onnx_snn.neurons.function_bodies import ANY_NEURONS, function_protos
from onnx_snn.neurons.mbe import MbeNeuron, halving_neuron
from onnx_snn.neurons.opset import (
    Body,
    Operator,
)
from onnx_snn.neurons.roles import NeuronRole


@cache
def portable(
    operator: Operator,
    body: Body,
    metered: bool,
    polarity: int,
    opset: int,
    guarantees: Guarantees = ANY_NEURONS,
    shape: tuple[int, ...] | None = None,
) -> Portable:
    model = model_of(operator, body=body, metered=metered, polarity=polarity, opset=opset, shape=shape)
    del model.functions[:]
    functions = function_protos([operator.name], opset=opset, body=body, metered=metered, guarantees=guarantees)
    model.functions.extend(functions)
    return Portable(model)


def assert_runtimes_agree(composite: Composite, x: Float32, *, opset: int = OPSET, reference: bool = True) -> None:
    """Both bodies, metered and not, in both runtimes: y of NumPy, and the same spikes."""
    expected, feeds = composite.numpy(x), composite.feeds(x)
    assert expected.shape == x.shape
    counts: list[dict[str, NDArray]] = []
    for body in Body:
        for metered in (False, True):
            model = portable(composite.operator, body, metered, composite.polarity, opset)
            for runtime in [model.onnxruntime, model.reference] if reference else [model.onnxruntime]:
                outputs = runtime(feeds)
                what = f"{runtime.__name__}, {body.value} body, metered={metered}, opset {opset}"
                assert_same_bits(one_nan(outputs.pop("y")), one_nan(expected), f"y of {what}")
                counts += [outputs] if metered and not np.isnan(expected).any() else []
    for spikes in counts[1:]:
        for name, count in counts[0].items():
            assert_same_bits(spikes[name], count, name)


@pytest.mark.slow
@every_composite
@settings(max_examples=25)
@given(x=rows())
def test_runtimes_agree(composite: Composite, x: Float32) -> None:
    assert_runtimes_agree(composite, x)


def test_coarse_neurons_guarantee_everything() -> None:
    roles = {
        NeuronRole.EXP2: coarse(np.exp2, 0, 1),
        NeuronRole.RECIPROCAL: coarse(np.reciprocal, 0.5, 1),
        NeuronRole.DEVIATION: COARSE_DEVIATION,
        NeuronRole.RSQRT: COARSE_RSQRT,
    }
    assert Guarantees.of(roles.items(), largest_scale=4) == EVERYTHING
    assert not Guarantees.of(roles.items(), largest_scale=2.0**60).regular_primitives
    vanishing = halving_neuron([0, 0.5], [2, 2], [0.25, 0.25], 0, 4)
    assert not Guarantees.of([*roles.items(), (NeuronRole.EXP2, vanishing)]).regular_primitives


@pytest.mark.parametrize("guarantees", [EVERYTHING, replace(EVERYTHING, halving=False)])
@pytest.mark.parametrize("opset", [13, 18, 28])
@pytest.mark.parametrize("name", COARSE)
@settings(max_examples=25)
@given(x=rows())
def test_bodies_of_halving_neurons(name: str, opset: int, guarantees: Guarantees, x: Float32) -> None:
    """The closed bodies that call no neuron, or only that of a deviation."""
    composite = COARSE[name]
    model = portable(composite.operator, Body.CLOSED, False, composite.polarity, opset, guarantees)
    for runtime in (model.onnxruntime, model.reference):
        y = runtime(composite.feeds(x))["y"]
        assert_same_bits(one_nan(y), one_nan(composite.numpy(x)), f"y of {runtime.__name__}, opset {opset}")


@pytest.mark.parametrize("value", SPECIAL, ids=[f"{bits:#010x}" for bits in SPECIAL.view(np.uint32)])
@pytest.mark.parametrize("name", COARSE)
def test_special_values_in_bodies_of_halving_neurons(name: str, value: np.float32) -> None:
    composite = COARSE[name]
    x = np.tile(np.linspace(-1, 1, 17, dtype=np.float32), (4, 1))
    x[0, 0] = x[1, 8] = x[2, 16] = value
    x[3] = value
    model = portable(composite.operator, Body.CLOSED, False, composite.polarity, OPSET, EVERYTHING)
    y = model.onnxruntime(composite.feeds(x))["y"]
    assert_same_bits(one_nan(y), one_nan(composite.numpy(x)), "y")


@pytest.mark.parametrize("metered", [False, True])
@pytest.mark.parametrize("body", Body)
@pytest.mark.parametrize("guarantees", [ANY_NEURONS, EVERYTHING])
@pytest.mark.parametrize("name", COARSE)
def test_known_shapes(name: str, guarantees: Guarantees, body: Body, metered: bool) -> None:
    """Where onnxruntime knows shapes, it drops nodes that it takes for nothing, such as x * (1 - 2**-53) in float64."""
    composite = COARSE[name]
    x = np.random.default_rng(7).normal(0, 3, (2, 3, 33)).astype(np.float32)
    x[0, 1, ::2] = -1e30
    x[1, 2] = 0
    model = portable(composite.operator, body, metered, composite.polarity, OPSET, guarantees, x.shape)
    assert_same_bits(one_nan(model.onnxruntime(composite.feeds(x))["y"]), one_nan(composite.numpy(x)), "y")


@settings(max_examples=25)
@given(neurons(halving=True), neurons(halving=True), rows())
def test_softmax_of_any_neurons(exp2: MbeNeuron, reciprocal: MbeNeuron, x: Float32) -> None:
    assert_runtimes_agree(softmax_of(exp2, reciprocal), x, reference=False)


@settings(max_examples=25)
@given(neurons(halving=True), neurons(halving=True), rows())
def test_layer_normalization_of_any_neurons(deviation: MbeNeuron, rsqrt: MbeNeuron, x: Float32) -> None:
    assert_runtimes_agree(layer_normalization_of(deviation, rsqrt, scaled=True), x, reference=False)


@every_composite
@pytest.mark.parametrize("opset", [13, 18, 28])
def test_every_opset(composite: Composite, opset: int) -> None:
    x = np.random.default_rng(2).normal(0, 3, (4, 33)).astype(np.float32)
    x[1, ::2] = -np.inf
    assert_runtimes_agree(composite, x, opset=opset)


@every_composite
@pytest.mark.parametrize("shape", [(1,), (7,), (0, 3), (2, 3, 1, 5), (2, 4096)])
def test_shapes(composite: Composite, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(3).normal(0, 2, shape).astype(np.float32)
    assert_runtimes_agree(composite, x)


@pytest.mark.parametrize("body", Body)
@pytest.mark.parametrize("name", COARSE)
def test_rows_without_elements_fire_nothing(name: str, body: Body) -> None:
    """Neither do the neurons of sums over such rows."""
    composite, x = COARSE[name], np.zeros((2, 3, 0), np.float32)
    model = portable(composite.operator, body, True, composite.polarity, OPSET)
    outputs = model.onnxruntime(composite.feeds(x))
    assert outputs.pop("y").shape == x.shape
    assert not any(spikes.any() for spikes in outputs.values())


@every_composite
@pytest.mark.parametrize("value", SPECIAL, ids=[f"{bits:#010x}" for bits in SPECIAL.view(np.uint32)])
def test_rows_with_special_values(composite: Composite, value: np.float32) -> None:
    """Alone, first, last, and throughout a row: a maximum or a sum may treat these places apart."""
    ordinary = np.linspace(-1, 1, 17, dtype=np.float32)
    x = np.stack([ordinary, ordinary, ordinary, np.full(17, value)])
    x[0, 0] = x[1, 8] = x[2, 16] = value
    assert_runtimes_agree(composite, x, reference=False)
    assert_runtimes_agree(composite, np.array([[value]]))


def test_softmax_at_the_smallest_normal_number() -> None:
    """An exponential of 2**-126 still counts, a smaller one is zero: x passes there float by float."""
    boundary = np.float32(-126 / np.log2(np.e))
    x = np.concatenate([[0], boundary + np.arange(-40, 41) * np.spacing(boundary)]).astype(np.float32)
    assert np.float32(-126) in x * LOG2_E
    y = COMPOSITES["softmax"].numpy(x)
    np.testing.assert_array_equal(y[1:] > 0, x[1:] * LOG2_E >= -126)
    assert_runtimes_agree(COMPOSITES["softmax"], x)


def exact_softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    exponential = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponential / exponential.sum(axis=-1, keepdims=True)


def test_softmax_is_close_to_the_exact_one() -> None:
    """Straight lines are off by h**2/8 f'': 7.6e-6 for 2**f (h = 1/128), 3.1e-5 for 1/m (h = 1/256)."""
    x = np.random.default_rng(4).normal(0, 4, (200, 50))
    actual = COMPOSITES["softmax"].numpy(x.astype(np.float32))
    np.testing.assert_allclose(actual, exact_softmax(x), rtol=1e-4, atol=1e-7)
    assert np.abs(actual.sum(axis=-1) - 1).max() < 1e-4


def test_softmax_of_masked_rows() -> None:
    """A masked element has probability +0; a row masked throughout is NaN, as the exact softmax says."""
    lowest = np.finfo(np.float32).min
    x = np.float32([[0, -np.inf, 0, -np.inf], [1, lowest, 1, lowest], [-np.inf] * 4, [3, 3, 3, 3]])
    y = COMPOSITES["softmax"].numpy(x)
    assert_same_bits(y[:2, 1::2], np.zeros((2, 2), np.float32), "masked probability")
    np.testing.assert_allclose(y[:2, ::2], 0.5, rtol=1e-4)
    assert np.isnan(y[2]).all()
    np.testing.assert_allclose(y[3], 0.25, rtol=1e-4)


def test_layer_normalization_is_close_to_the_exact_one() -> None:
    """The code of the deviation is off by up to 16/2**18 = 6.1e-5, 1/sqrt by 7.3e-5 relative to 0.7."""
    x = np.random.default_rng(5).normal(0.5, 2, (200, 64))
    gamma, beta = affine(64)
    deviation = x - x.mean(axis=-1, keepdims=True)
    exact = deviation / np.sqrt(x.var(axis=-1, keepdims=True) + EPSILON) * gamma + beta
    np.testing.assert_allclose(COMPOSITES["layer_norm"].numpy(x.astype(np.float32)), exact, atol=5e-4)


def test_rms_normalization_is_close_to_the_exact_one() -> None:
    x = np.random.default_rng(6).normal(0.5, 2, (200, 64))
    exact = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + EPSILON) * affine(64)[0]
    np.testing.assert_allclose(COMPOSITES["rms_norm"].numpy(x.astype(np.float32)), exact, atol=5e-4)


def test_channel_scales_widen_the_code() -> None:
    """A deviation of 40 saturates a code that reaches 16, and does not where its channel is scaled by 4."""
    x = np.zeros((1, 5), np.float32)
    x[0, 4] = 40
    gamma, epsilon = np.ones(5, np.float32), 100.0
    narrow = spiking_rms_normalization(x, gamma, epsilon, DEVIATION, RSQRT)
    wide = spiking_rms_normalization(x, gamma, epsilon, DEVIATION, RSQRT, np.float32([1, 1, 1, 1, 4]))
    np.testing.assert_allclose(narrow[0, 4], 16 / np.sqrt(16**2 / 5 + epsilon), rtol=1e-4)
    np.testing.assert_allclose(wide[0, 4], 40 / np.sqrt(40**2 / 5 + epsilon), rtol=1e-4)


POSITIVE = SPECIAL[np.isfinite(SPECIAL) & (SPECIAL > 0)]


def test_reciprocal_over_all_exponents() -> None:
    """Exponents are split exactly: the error of the mantissa's neuron holds from denormals to overflow."""
    v = np.concatenate([POSITIVE, np.exp2(np.arange(-149, 128)).astype(np.float32) * np.float32(1.37)])
    with np.errstate(over="ignore"):
        exact = (1 / v.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(spiking_reciprocal(v, RECIPROCAL), exact, rtol=1e-4)


def test_rsqrt_over_all_exponents() -> None:
    v = np.concatenate([POSITIVE, np.exp2(np.arange(-149, 128)).astype(np.float32) * np.float32(1.37)])
    np.testing.assert_allclose(spiking_rsqrt(v, RSQRT), v.astype(np.float64) ** -0.5, rtol=1e-4)


@pytest.mark.parametrize(("function", "neuron"), [(spiking_reciprocal, RECIPROCAL), (spiking_rsqrt, RSQRT)])
def test_exceptional_values_are_exact(function: Callable, neuron: MbeNeuron) -> None:
    y = function(np.float32([0, np.inf, np.nan]), neuron)
    assert y[:2].tolist() == [np.inf, 0]
    assert np.isnan(y[2])

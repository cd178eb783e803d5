# SPDX-License-Identifier: Apache-2.0
"""The kernels of softmax and normalizations return the bits of NumPy and of the functions in a converted file."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from composites import COMPOSITES, Composite, every_composite, layer_normalization_of, one_nan, rows, softmax_of
from hypothesis import given, settings
from native import TASK, native, native_constant, without_x
from networks import normal
from portable import assert_same_bits, model_of, session_of
from strategies import SPECIAL, neurons

from onnx_snn.arrays import Float32
from onnx_snn.neurons.mbe import MbeNeuron, halving_neuron
from onnx_snn.neurons.opset import Body, Operator


@cache
def function(operator: Operator, polarity: int) -> Any:
    """One node that runs as the function of the file."""
    return session_of(model_of(operator, body=Body.LOOP, metered=True, polarity=polarity))


def assert_composite(composite: Composite, x: Float32, *, constant: bool = False) -> None:
    """y of NumPy, and the spikes that the function fires; a NaN may have any payload, see test_composite."""
    operator, feeds = composite.operator, composite.feeds(x)
    expected = composite.numpy(x)
    names = operator.outputs(metered=True)
    by_function = dict(zip(names, function(operator, composite.polarity).run(names, feeds), strict=True))
    for metered in (False, True):
        for threads in (1, 2):
            if constant:
                run = native_constant(operator, metered, composite.polarity, without_x(feeds), threads)
                outputs = run({"x": x})
            else:
                outputs = native(operator, metered, composite.polarity, threads)(feeds)
            what = f"{metered=}, {threads=}, {constant=}"
            y = one_nan(outputs.pop("y"))
            assert_same_bits(y, one_nan(expected), f"y, {what}")
            assert_same_bits(y, one_nan(by_function["y"]), f"y of the function, {what}")
            if not np.isnan(expected).any():
                for name, spikes in outputs.items():
                    assert_same_bits(spikes, by_function[name], f"{name}, {what}")


@every_composite
@settings(max_examples=25)
@given(x=rows())
def test_composites_have_the_same_bits(composite: Composite, x: Float32) -> None:
    assert_composite(composite, x)


def constant_neuron(value: float) -> MbeNeuron:
    """A neuron that answers `value` to everything."""
    return halving_neuron([0.0], [-1.0], [0.0], value, 1)


def test_a_maximum_before_a_nan_is_not_lost() -> None:
    """Rows of several lanes, where a maximum may start anew behind a NaN."""
    x = normal(2, 4, 31)
    x[1, 1, [2, 5, 22]] = np.nan
    x[1, 1, 16] = np.finfo(np.float32).max
    assert_composite(softmax_of(constant_neuron(0.0), constant_neuron(0.0)), x)


def test_what_remains_of_a_negative_number_is_positive_zero() -> None:
    """Whatever a runtime makes of the sign of a zero that it selects."""
    large, tiny = constant_neuron(2.0**85), constant_neuron(-(2.0**-64))
    assert_composite(softmax_of(large, tiny), normal(2, 4, 1))


@settings(max_examples=25)
@given(neurons(), neurons(), rows())
def test_softmax_of_any_neurons_has_the_same_bits(exp2: MbeNeuron, reciprocal: MbeNeuron, x: Float32) -> None:
    assert_composite(softmax_of(exp2, reciprocal), x)


@settings(max_examples=25)
@given(neurons(), neurons(), rows())
def test_normalization_of_any_neurons_has_the_same_bits(deviation: MbeNeuron, rsqrt: MbeNeuron, x: Float32) -> None:
    assert_composite(layer_normalization_of(deviation, rsqrt, scaled=True), x)


@every_composite
def test_constant_composites_have_the_same_bits(composite: Composite) -> None:
    assert_composite(composite, np.random.default_rng(9).normal(0, 3, (5, 33)).astype(np.float32), constant=True)


@every_composite
@pytest.mark.parametrize("shape", [(1,), (7,), (0, 3), (2, 3, 1, 5), (2, TASK + 1), (200, 130)])
def test_shapes_of_composites_have_the_same_bits(composite: Composite, shape: tuple[int, ...]) -> None:
    assert_composite(composite, np.random.default_rng(3).normal(0, 2, shape).astype(np.float32))


@every_composite
def test_special_values_in_rows_have_the_same_bits(composite: Composite) -> None:
    """Alone, first, in the middle, last, and throughout a row."""
    ordinary = np.linspace(-1, 1, 17, dtype=np.float32)
    for value in SPECIAL:
        x = np.stack([ordinary, ordinary, ordinary, np.full(17, value)])
        x[0, 0] = x[1, 8] = x[2, 16] = value
        assert_composite(composite, x)
        assert_composite(composite, np.array([[value]]))


AFFINE_SHAPES = [(1,), (7,), (3, 7), (3, 1), (2, 1, 7), (2, 3, 7), (2, 1, 1)]


@pytest.mark.parametrize("gamma", AFFINE_SHAPES)
@pytest.mark.parametrize("scale", AFFINE_SHAPES)
def test_values_along_any_axes_have_the_same_bits(gamma: tuple[int, ...], scale: tuple[int, ...]) -> None:
    rng = np.random.default_rng(10)
    x = rng.normal(0, 2, (2, 3, 7)).astype(np.float32)
    composite = COMPOSITES["layer_norm"]
    feeds = composite.feeds(x) | {
        "gamma": rng.normal(1, 1, gamma).astype(np.float32),
        "beta": rng.normal(0, 1, scale).astype(np.float32),
        "deviation_scale": np.exp2(rng.integers(-3, 3, scale)).astype(np.float32),
    }
    expected = function(composite.operator, composite.polarity).run(None, feeds)
    actual = native(composite.operator, True, composite.polarity)(feeds)
    for (name, value), of_function in zip(actual.items(), expected, strict=True):
        assert_same_bits(value, of_function, name)

# SPDX-License-Identifier: Apache-2.0
"""Products by accumulation: the same as by multiplication, for every operator and shape, and their synapses."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from graphs import graph
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.arrays import Float64
from onnx_snn.events.replay.accumulation import of_activations, with_weights
from onnx_snn.events.replay.bilinear import Bilinear, Gemm, MatMul, Mul
from onnx_snn.events.replay.convolution import Convolution
from onnx_snn.events.spike_events import Events, SpikeEvents
from onnx_snn.neurons.mbe import MbeNeuron, halving_neuron
from onnx_snn.neurons.step_kernels import size_kernels
from onnx_snn.neurons.sum_factors import factors_with_weights


def whole(draw: st.DrawFn, shape: tuple[int, ...]) -> Float64:
    return seeded(draw(st.integers(0, 1 << 30)), shape)


def seeded(seed: int, shape: tuple[int, ...]) -> Float64:
    """Small whole numbers, whose sums are exact in any order."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float64)


def events_of(array: Float64) -> Events:
    """A spike at each element that is not 0, which stands for its value."""
    elements = np.flatnonzero(array)
    return Events(elements, array.ravel()[elements])


def assert_accumulates(product: Bilinear, a: Float64, b: Float64) -> None:
    expected = product.dense(a, b)
    for place, (own, other) in enumerate(((a, b), (b, a))):
        actual = product.accumulated(place, events_of(own), own.shape, other)
        np.testing.assert_array_equal(actual, expected, strict=True)


@st.composite
def matrices(draw: st.DrawFn) -> tuple[Float64, Float64]:
    """Operands of a MatMul: vectors, matrices, and stacks of them with broadcast axes."""
    rows, inner, columns = (draw(st.integers(1, 4)) for _ in range(3))
    a = draw(st.sampled_from([(inner,), (rows, inner), (2, rows, inner), (1, 3, rows, inner), (2, 3, rows, inner)]))
    b = draw(st.sampled_from([(inner,), (inner, columns), (2, 1, inner, columns), (2, 3, inner, columns)]))
    if len(a) == 3 and len(b) == 4:
        a = a[1:]
    return whole(draw, a), whole(draw, b)


@given(matrices())
def test_matmul(operands: tuple[Float64, Float64]) -> None:
    assert_accumulates(MatMul(), *operands)


@given(matrices())
def test_synapses_are_the_multiplications_of_a_spike(operands: tuple[Float64, Float64]) -> None:
    """Where all elements spike, there are as many accumulations as multiplications in the whole product."""
    a, b = (np.ones_like(operand) for operand in operands)
    multiplications = int(np.matmul(a, b).sum())
    assert MatMul().synapses(0, events_of(a), a.shape, b.shape) == multiplications
    assert MatMul().synapses(1, events_of(b), b.shape, a.shape) == multiplications


@given(st.booleans(), st.booleans(), st.data())
def test_gemm(trans_a: bool, trans_b: bool, data: st.DataObject) -> None:
    attributes = [ir.AttrFloat32("alpha", 0.5), ir.AttrInt64("transA", trans_a), ir.AttrInt64("transB", trans_b)]
    a, b = (
        data.draw(st.builds(lambda seed, s=shape: seeded(seed, s), st.integers(0, 99))) for shape in ((3, 4), (4, 2))
    )
    product = Gemm(ir.Node("", "Gemm", [], attributes))
    assert_accumulates(product, a.T if trans_a else a, b.T if trans_b else b)
    np.testing.assert_array_equal(product.dense(a.T if trans_a else a, b.T if trans_b else b), 0.5 * (a @ b))


@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((2, 3), (3,)), ((1, 3), (2, 1))], ids=str)
def test_mul(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    assert_accumulates(Mul(), *(seeded(seed, shape) for seed, shape in enumerate(shapes)))


@pytest.mark.parametrize(
    ("x", "weights", "attributes"),
    [
        ((2, 3, 5, 6), (4, 3, 3, 3), "pads = [1, 1, 1, 1]"),
        ((1, 4, 7, 5), (6, 2, 2, 3), "group = 2, strides = [2, 1], pads = [0, 1, 1, 0]"),
        ((2, 4, 6), (4, 1, 3), "group = 4, dilations = [2]"),
        ((1, 2, 5, 5), (3, 2, 2, 2), 'auto_pad = "SAME_UPPER", strides = [2, 2]'),
        ((1, 2, 6, 5), (3, 2, 2, 3), 'auto_pad = "SAME_LOWER"'),
        ((1, 2, 4, 4), (3, 2, 2, 2), 'auto_pad = "VALID"'),
        ((1, 1, 3, 4, 3), (2, 1, 2, 2, 2), "strides = [1, 2, 1]"),
    ],
)
def test_convolution(x: tuple[int, ...], weights: tuple[int, ...], attributes: str) -> None:
    """Against onnxruntime, on whole numbers, whose sums are exact."""
    types = [",".join(map(str, shape)) for shape in (x, weights)]
    body = f"y = Conv <{attributes}> (x, w)"
    model = graph(body, inputs=f"float[{types[0]}] x, float[{types[1]}] w", outputs="float y")
    a, b = seeded(0, x), seeded(1, weights)
    session = onnxruntime.InferenceSession(ir.serde.serialize_model(model).SerializeToString())
    (expected,) = session.run(None, {"x": a.astype(np.float32), "w": b.astype(np.float32)})
    product = Convolution(next(iter(model.graph)))
    np.testing.assert_array_equal(product.accumulated(0, events_of(a), x, b), expected)
    ones: list[Any] = [np.ones(shape, np.float32) for shape in (x, weights)]
    (multiplications,) = session.run(None, {"x": ones[0], "w": ones[1]})
    assert product.synapses(0, events_of(np.ones(x)), x, weights) == int(multiplications.sum())


def code(steps: list[float] | None, *, gate: bool, polarity: int) -> MbeNeuron:
    """A code of the identity by two bases: with the step sizes `steps`, or halving where they are None."""
    values: dict[str, Any] = {"u_rest": np.float32([-0.25, 1.75]), "gain": np.float32([1, 0.5])}
    if steps is None:
        return halving_neuron(**values, weight=[0.75, 1.5], bias=0.125, timesteps=5, gate=gate, polarity=polarity)
    kernels: dict[str, Any] = size_kernels(np.float32([steps, steps]).T, gate=gate)
    readout: dict[str, Any] = {"weight": np.float32([0.75, 1.5]), "bias": np.float32(0.125)}
    return MbeNeuron(**values, **kernels, **readout, polarity=polarity)


CODES = [
    code(steps, gate=gate, polarity=polarity)
    for steps in (None, [1.0, 0.625, 0.375, 0.25])
    for gate in (False, True)
    for polarity in (0, 1)
]


@pytest.mark.parametrize("neuron", CODES)
def test_spikes_add_up_to_the_product_of_the_coded_operand(neuron: MbeNeuron) -> None:
    """With weights at either side, and with another coded operand; scales of channels are shifts."""
    rng = np.random.default_rng(3)
    x = rng.normal(scale=2.0, size=(2, 3, 4)).astype(np.float32)
    scale = np.broadcast_to(np.float32([1, 2, 0.5, 4]), x.shape)
    events = SpikeEvents(neuron, x, scale)
    *_, coded = events.decoded()
    np.testing.assert_array_equal(coded.astype(np.float32), neuron(x, scale))
    right, left = rng.normal(size=(4, 5)), rng.normal(size=(6, 3))
    assert_close(with_weights(MatMul(), events, right, place=0), coded @ right)
    assert_close(with_weights(MatMul(), events, left, place=1), left @ coded)
    other = SpikeEvents(CODES[-1], rng.normal(size=(2, 4, 3)).astype(np.float32), np.ones((2, 4, 3), np.float32))
    *_, decoded = other.decoded()
    assert_close(of_activations(MatMul(), events, other), coded @ decoded)


def assert_close(actual: Float64, expected: Float64) -> None:
    """Within the roundings of float64 in sums of a few dozen terms."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2.0**-45)


def test_halving_codes_need_shifts_alone_but_for_the_readout() -> None:
    assert factors_with_weights(code(None, gate=False, polarity=1)) == 2
    assert factors_with_weights(code([1.0, 0.625, 0.375, 0.25], gate=False, polarity=1)) == 2 * 3 + 2

# SPDX-License-Identifier: Apache-2.0
"""The kernel of the neuron returns the bits of the NumPy reference.

What a sanitizer can tell of the kernels, `custom_ops/tests` asks.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from native import TASK, assert_neuron, native
from portable import assert_same_bits, neuron_feeds
from strategies import Case, cases, critical_inputs, sample_case

from onnx_snn.arrays import Float32
from onnx_snn.neurons.mbe import UNSCALED, closed_form, halving_neuron
from onnx_snn.neurons.opset import MBE_NEURON


@given(cases())
def test_neuron_has_the_same_bits(case: Case) -> None:
    assert_neuron(case)


@given(cases(halving=True))
def test_halving_neuron_has_the_same_bits(case: Case) -> None:
    assert_neuron(case)


@given(cases())
@settings(max_examples=25)
def test_constant_neuron_has_the_same_bits(case: Case) -> None:
    assert_neuron(case, constant=True)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (0, 3), (2, 0, 4), (2, 3, 1, 2), (1,) * 16])
def test_shapes_have_the_same_bits(shape: tuple[int, ...]) -> None:
    neuron = halving_neuron([0, 1], [1, 1], [1, -0.5], 0.5, 4, polarity=1)
    x = np.linspace(-2, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    assert_neuron(Case(neuron, x, np.float32([2])))


SCALES = {
    "none": UNSCALED,
    "one": np.float32([0.25]),
    "channels": np.exp2(np.arange(100) % 7 - 3).astype(np.float32),
    "rows": np.exp2(np.arange(70) % 7 - 3).astype(np.float32)[:, None],
    "elements": np.exp2(np.arange(7000) % 11 - 5).astype(np.float32).reshape(70, 100),
    "any_numbers": np.linspace(0.3, 3, 100, dtype=np.float32),
}


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES.keys())
def test_work_of_many_tasks_has_the_same_bits(scale: Float32) -> None:
    neuron = sample_case(1, UNSCALED).neuron
    x = np.random.default_rng(7).choice(critical_inputs(neuron, np.random.default_rng(8)), (9, 70, 100))
    assert x.size > 3 * TASK
    assert_neuron(Case(neuron, x.astype(np.float32), scale))


@pytest.mark.parametrize("timesteps", [1, 5, 8, 9, 16])
@pytest.mark.parametrize("gate", [True, False], ids=["gated", "ungated"])
def test_more_spikes_than_a_counter_holds_are_counted(timesteps: int, gate: bool) -> None:
    """Two thirds of 300 000 elements are alike: counters are emptied in between. NaN fire nothing."""
    u_rest, gain = np.arange(6), [1, 1, -1, 1, -1, 1]  # ramps of width 2 - 2**(1 - T), but those that fall
    u_rest = np.where(np.array(gain) > 0, 3 * u_rest, 3 * u_rest + 2)
    neuron = halving_neuron(u_rest, gain, [1, 0.5, -0.25, 1, 2, 0.5], 0, timesteps, gate=gate)
    x = np.random.default_rng(timesteps).uniform(-2, 20, (3, 100_000)).astype(np.float32)
    x[:2] = 4.7
    x[2, ::5], x[2, 1::7] = np.nan, np.inf
    expected = closed_form(neuron, x)
    for threads in (1, 2):
        outputs = native(MBE_NEURON, True, 0, threads)(neuron_feeds(neuron, x, UNSCALED))
        assert_same_bits(outputs["y"], expected.y, f"y, {threads=}")
        assert_same_bits(outputs["spikes"], expected.spikes, f"spikes, {threads=}")

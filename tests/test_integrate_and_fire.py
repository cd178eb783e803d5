# SPDX-License-Identifier: Apache-2.0
"""Neurons with step sizes as integrate-and-fire neurons: constant threshold, soft reset, a membrane that grows.

With v = u / size[t], the neuron's u >= size[t], u -= size[t] become

    s[t] = v >= 1          v <- (v - s[t]) * size[t] / size[t+1]

Halving sizes make the growth 2, which is exact. The saturation spike is a comparison before the first step.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import Case, cases

from onnx_snn.arrays import Float32
from onnx_snn.config.neuron_settings import BetaCode
from onnx_snn.fitting.beta_codes import INCREMENTS, BetaSteps
from onnx_snn.neurons.mbe import MbeNeuron, spike_trains
from onnx_snn.neurons.step_kernels import size_kernels


@np.errstate(all="ignore")
def integrate_and_fire(neuron: MbeNeuron, x: Float32) -> NDArray[np.bool_]:
    """Spikes [S, N, elements] of growing integrate-and-fire neurons, all arithmetic in float32."""
    assert neuron.sizes is not None
    size = neuron.sizes.steps[:, :, None]
    x = np.where(x < 0, -x, x) if neuron.polarity else x
    u = (x.ravel() - neuron.u_rest[:, None]) * neuron.gain[:, None]
    silenced = (u >= size.sum(axis=0)) if neuron.sizes.gate else np.zeros(u.shape, bool)
    v, spikes = u / size[0], [silenced] if neuron.sizes.gate else []
    for growth in np.concatenate([size[:-1] / size[1:], np.ones_like(size[:1])]):
        fires = v >= 1
        spikes.append(fires & ~silenced)
        v = (v - fires) * growth
    return np.stack(spikes)


@given(cases(halving=True))
def test_halving_neurons_double_their_membrane(case: Case) -> None:
    """Exactly: doubling moves the exponent alone, for every argument, infinities and NaN included."""
    x = np.asarray(case.x, np.float32)
    np.testing.assert_array_equal(integrate_and_fire(case.neuron, x), spike_trains(case.neuron, x))


def beta_neuron(steps: BetaSteps) -> MbeNeuron:
    """A code of one segment whose first step has size 1."""
    return MbeNeuron(
        u_rest=np.zeros(1, np.float32),
        gain=np.ones(1, np.float32),
        weight=np.ones(1, np.float32),
        bias=np.float32(0),
        **size_kernels(steps.sizes[:, None], gate=False),  # type: ignore[arg-type]
    )


@given(st.integers(2, 16), st.floats(0.5, 1, exclude_min=True), st.sampled_from(INCREMENTS), st.integers(0, 1 << 30))
def test_beta_codes_grow_by_the_ratio_of_their_sizes(timesteps: int, decay: float, increment: float, seed: int) -> None:
    """Where a train differs, the potential lies within the roundings of growth at a threshold.

    Each step rounds the quotient or product and the difference once: 2**-24 of the potential so far, which the growth
    keeps relative to that of the start.
    """
    neuron = beta_neuron(BetaSteps(timesteps, BetaCode(decay=decay, increment=increment, octaves=(0,))))
    assert neuron.sizes is not None
    sizes = neuron.sizes.steps[:, 0].astype(np.float64)
    x = np.random.default_rng(seed).uniform(0, sizes.sum(), 2000).astype(np.float32)
    grown, trains = integrate_and_fire(neuron, x)[:, 0], spike_trains(neuron, x)[:, 0]
    rest = x.astype(np.float64) - np.cumsum(np.vstack([np.zeros(len(x)), trains[:-1] * sizes[:-1, None]]), axis=0)
    first = (grown != trains).argmax(axis=0)
    differs = (grown != trains).any(axis=0)
    distance = np.abs(rest[first, np.arange(len(x))] - sizes[first])
    assert (distance <= 3 * timesteps * 2.0**-24 * x)[differs].all()
    assert differs.mean() < 0.01


@pytest.mark.parametrize("timesteps", [4, 8, 16])
def test_both_forms_are_the_same_where_sizes_are_even(timesteps: int) -> None:
    neuron = beta_neuron(BetaSteps(timesteps, BetaCode(decay=1.0, increment=0.0, octaves=(0,))))
    x = np.linspace(0, timesteps, 4096, dtype=np.float32)
    np.testing.assert_array_equal(integrate_and_fire(neuron, x), spike_trains(neuron, x))

# SPDX-License-Identifier: Apache-2.0
"""Beta codes: what they promise is what the neuron does, and for the same error they fire less than binary ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import assert_as_promised, densities, half_normal

from onnx_snn.config.neuron_settings import BetaCode
from onnx_snn.fitting.beta_codes import DECAYS, INCREMENTS, OCTAVES, BetaSteps, beta_codes
from onnx_snn.fitting.binary_codes import binary_codes
from onnx_snn.fitting.density import Density
from onnx_snn.neurons.mbe import fired_slots, time_loop

steps = st.builds(
    BetaSteps,
    st.integers(2, 16),
    st.builds(
        BetaCode,
        st.sampled_from(DECAYS),
        st.sampled_from([*INCREMENTS[1:], 1.0]),
        st.sampled_from(OCTAVES),
    ),
)


@settings(deadline=None, max_examples=25)
@given(densities, st.integers(1, 16), st.floats(1.0, 8.0), st.booleans(), st.booleans())
def test_error_and_spikes_are_those_of_the_neuron(
    density: Density, timesteps: int, headroom: float, one_sided: bool, gate: bool
) -> None:
    limit = headroom * density.points[-1]
    front = beta_codes(density, timesteps, limit=limit, gate=gate)
    for code in (front[0], front[len(front) // 2], front[-1]):
        neuron = code.steps.neuron(limit, one_sided=one_sided, gate=gate)
        segments = len(code.steps.code.octaves)
        assert (neuron.bases, neuron.timesteps) == (segments, timesteps + (gate and segments > 1))
        assert_as_promised(neuron, density, error=code.error, spikes=code.spikes)


@given(steps, st.floats(1e-20, 1e20))
def test_every_code_reaches_the_limit_and_no_farther_than_it_must(steps: BetaSteps, limit: float) -> None:
    reach = steps.sizes.sum() * steps.units(limit).sum()
    assert limit <= reach * (1.0 + 1e-12)
    assert reach <= limit * 1.125 * (1.0 + 1e-12)


@given(steps, st.floats(0.0, 1.0))
def test_what_the_steps_leave_is_less_than_the_last_one(steps: BetaSteps, share: float) -> None:
    sizes = steps.sizes
    later = np.append(np.cumsum(sizes[:0:-1])[::-1], 0.0)
    assume((sizes <= later + sizes[-1]).all())  # with fewer large steps some magnitudes lie in gaps
    neuron = steps.neuron(1.0, one_sided=True, gate=True)
    x = np.float32(share)
    segment = int(np.searchsorted(steps.knots(1.0), x, side="right")) - 1
    last = steps.sizes[-1] * steps.units(1.0)[segment]
    # Raised by a part of the last size: so much too much, and up to the rest of it too little. Where a segment begins,
    # the one below it, whose steps are finer, may answer.
    assert -0.41 * last <= x - time_loop(neuron, [x]).y[0] <= 0.61 * last


@given(steps, st.lists(st.floats(-2.0, 2.0, width=32), min_size=1, max_size=20))
def test_a_gate_changes_nothing_but_the_spikes(steps: BetaSteps, x: list[float]) -> None:
    gated, plain = (steps.neuron(1.0, one_sided=False, gate=gate) for gate in (True, False))
    assert np.array_equal(gated(x), plain(x))
    assert (fired_slots(gated, x) <= fired_slots(plain, x)).all()


def test_a_code_is_odd_or_silent_below_zero() -> None:
    x = np.linspace(0.0, 4.0, 101, dtype=np.float32)
    steps = BetaSteps(12, BetaCode(0.75, 0.3))
    odd, one_sided = (steps.neuron(4.0, one_sided=each, gate=True) for each in (False, True))
    assert np.array_equal(odd(-x), -odd(x))
    assert not one_sided(-x[1:]).any()
    assert np.array_equal(one_sided(x), odd(x))


@pytest.mark.parametrize("error", [0.1, 0.03, 0.01])
def test_they_fire_less_than_binary_codes_of_the_same_error(error: float) -> None:
    density = half_normal()
    beta, binary = (
        min(
            code.spikes
            for timesteps in range(2, 17)
            for code in codes(density, timesteps, limit=8.0)
            if code.error <= error
        )
        for codes in (beta_codes, binary_codes)
    )
    assert beta < 0.8 * binary


def test_importance_moves_the_error_and_not_the_spikes() -> None:
    density = Density(np.linspace(0.01, 1.0, 400), np.full(400, 1.0 / 400))
    plain = {code.steps: code for code in beta_codes(density, 8, limit=2.0)}
    important = beta_codes(density, 8, limit=2.0, importance=density.points**2)
    shared = [(code, plain[code.steps]) for code in important if code.steps in plain]
    assert shared
    assert all(code.spikes == other.spikes and code.error != other.error for code, other in shared)

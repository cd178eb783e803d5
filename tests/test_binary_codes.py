# SPDX-License-Identifier: Apache-2.0
"""Binary codes: what they promise is what the neuron does, and nothing that was tried is better in both respects."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import assert_as_promised, densities, half_normal

from onnx_snn.config.allowances import Allowance
from onnx_snn.fitting.binary_codes import RatedBinaryCode, _level_sizes, binary_codes, within_allowance
from onnx_snn.fitting.density import Density
from onnx_snn.fitting.ratings import MARGIN


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(densities, st.integers(1, 10), st.floats(1.0, 8.0), st.booleans(), st.booleans())
def test_error_and_spikes_are_those_of_the_neuron(
    density: Density, timesteps: int, headroom: float, one_sided: bool, gate: bool
) -> None:
    limit = headroom * density.points[-1]
    front = binary_codes(density, timesteps, limit=limit, gate=gate)
    for code in (front[0], front[len(front) // 2], front[-1]):
        neuron = code.neuron(one_sided=one_sided, gate=gate)
        assert neuron.timesteps == timesteps + gate
        assert neuron.halving is not None
        assert_as_promised(neuron, density, error=code.error, spikes=code.spikes)


@settings(deadline=None, max_examples=25)
@given(densities, st.integers(1, 16), st.floats(1e-20, 1e20))
def test_every_code_reaches_the_limit_and_no_farther_than_it_must(
    density: Density, timesteps: int, factor: float
) -> None:
    limit = factor * density.points[-1]
    for code in binary_codes(Density(density.points * factor, density.mass), timesteps, limit=limit):
        reached = (2.0**timesteps - 1.0) * sum(code.levels)
        assert limit <= reached * (1 + 1e-12)
        assert reached <= limit * 1.13
        assert list(code.levels) == sorted(code.levels)
        assert all(np.frexp(level / code.levels[0])[0] == 0.5 for level in code.levels)


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(densities, st.integers(2, 10))
def test_along_the_front_spikes_rise_and_errors_fall(density: Density, timesteps: int) -> None:
    front = binary_codes(density, timesteps, limit=4.0 * density.points[-1])
    assert all(a.spikes <= b.spikes + MARGIN and a.error > b.error for a, b in itertools.pairwise(front))


def test_what_decides_is_importance_where_it_is_given() -> None:
    density, small = half_normal(), half_normal().points < 0.25
    alike = binary_codes(density, 8, limit=64.0)
    near_zero = binary_codes(density, 8, limit=64.0, importance=np.where(small, 1.0, 1e-6))

    def error_near_zero(code: RatedBinaryCode) -> float:
        neuron = code.neuron(one_sided=True, gate=True)
        x = density.points[small].astype(np.float32)
        return float(np.abs(neuron(x) - x).max())

    allowance = Allowance(spikes=3.6, error=1.0)
    chosen, other = within_allowance(near_zero, allowance), within_allowance(alike, allowance)
    assert chosen is not None
    assert other is not None
    assert error_near_zero(chosen) < error_near_zero(other)


def test_a_few_massive_activations_do_not_hide_the_loss_of_the_rest() -> None:
    density = half_normal()
    massive = Density(np.append(density.points, 4000.0), np.append(density.mass * (1 - 1e-5), 1e-5))
    coarse = [code for code in binary_codes(massive, 8, limit=4000.0) if len(code.levels) == 1]
    assert all(code.error > 0.5 for code in coarse)


@pytest.mark.parametrize(
    ("allowance", "place"),
    [
        (Allowance(spikes=2.0, error=1.0), 1),
        (Allowance(spikes=2.9, error=1.0), 1),
        (Allowance(spikes=9.0, error=1.0), 2),
        (Allowance(spikes=2.0, error=0.05), 2),
        (Allowance(spikes=0.5, error=0.2), 1),
        (Allowance(spikes=9.0, error=0.001), None),
    ],
)
def test_the_most_exact_code_within_the_allowance_is_chosen(allowance: Allowance, place: int | None) -> None:
    front = [RatedBinaryCode((1.0,), 8, error, spikes) for error, spikes in ((0.5, 1.0), (0.1, 2.0), (0.01, 3.0))]
    assert within_allowance(front, allowance) == (None if place is None else front[place])


def test_level_sizes_are_few_bits() -> None:
    levels = _level_sizes(3, 8, 5.3)
    mantissas = np.frexp(levels)[0] * 16.0
    np.testing.assert_array_equal(mantissas, np.round(mantissas))


def test_a_half_normal_signal_costs_three_and_a_half_spikes_at_three_thousandths() -> None:
    code = within_allowance(binary_codes(half_normal(), 8, limit=16.0), Allowance(spikes=3.5, error=1.0))
    assert code is not None
    assert code.error < 3e-3

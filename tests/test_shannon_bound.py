# SPDX-License-Identifier: Apache-2.0
"""Shannon's bound: rates of densities whose rate-distortion function is known, and the spikes that carry them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.fitting.binary_codes import binary_codes
from onnx_snn.fitting.density import density_up_to
from onnx_snn.fitting.shannon_bound import Grid, least_bits, least_spikes, rate
from onnx_snn.fitting.signal import Signal

TOLERANCE = 0.02
"""Bits: the iteration stops 0.005 bits before its limit, and the grid moves the error by a hundredth."""

GAUSSIAN = np.linspace(-8.0, 8.0, 4001)


def entropy(share: float) -> float:
    return -share * math.log2(share) - (1.0 - share) * math.log2(1.0 - share)


@pytest.mark.parametrize("error", [0.3, 0.1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-9])
def test_rate_of_a_gaussian(error: float) -> None:
    """R(D) = log2(variance / D) / 2."""
    bits = least_bits(GAUSSIAN, np.exp(-(GAUSSIAN**2) / 2), error)
    assert bits == pytest.approx(-math.log2(error) / 2, abs=TOLERANCE)


@pytest.mark.parametrize("error", [1e-4, 1e-5, 1e-6])
def test_rate_of_a_uniform_density(error: float) -> None:
    """Differential entropy less that of the error, which is Shannon's lower bound: it is reached at small errors."""
    bits = least_bits(np.linspace(0.0, 1.0, 1001), np.ones(1001), error)
    assert bits == pytest.approx(-math.log2(2.0 * math.pi * math.e * error) / 2, abs=TOLERANCE)


@pytest.mark.parametrize("error", [0.9, 0.5, 0.2, 0.1, 0.03])
def test_rate_of_two_equally_likely_points(error: float) -> None:
    """Of -1 and 1 the best outputs are -y and y, and E (X - Y)**2 = 1 - y**2: R(D) = 1 - h((1 - y) / 2)."""
    bits, slope = rate(Grid(np.array([0.5, *[0.0] * 63, 0.5]), 2.0 / 64.0), error)
    assert bits == pytest.approx(1.0 - entropy((1.0 - math.sqrt(1.0 - error)) / 2.0), abs=TOLERANCE)
    assert slope > 0.0


@given(st.floats(0.05, 0.95))
def test_rate_of_two_points_without_error_is_their_entropy(share: float) -> None:
    bits, _ = rate(Grid(np.array([share, *[0.0] * 127, 1.0 - share]), 1.0 / 128.0), 3e-4)
    assert bits == pytest.approx(entropy(share), abs=TOLERANCE)


def test_an_error_of_the_variance_takes_no_bits() -> None:
    assert least_bits(GAUSSIAN, np.exp(-(GAUSSIAN**2) / 2), 1.02) == 0.0
    assert least_bits(np.array([3.0]), np.array([7.0]), 0.0) == 0.0


def test_exact_values_take_unlimited_bits() -> None:
    assert least_bits(GAUSSIAN, np.ones(GAUSSIAN.size), 0.0) == math.inf


def test_zeros_take_fewer_bits_than_a_density_without_them() -> None:
    """Half of the elements are exactly 0: R(D) = 1 + R_1(2 D) / 2 at small errors, as all others are known to be."""
    points = np.linspace(0.0, 1.0, 1001)
    mass = np.concatenate([[1000.0], np.ones(1000)])
    expected = 1.0 - math.log2(2.0 * math.pi * math.e * 2e-6) / 4
    assert least_bits(points, mass, 1e-6) == pytest.approx(expected, abs=2 * TOLERANCE)


def test_weights_move_points_apart() -> None:
    """Weights 1 and 4 on the halves of [0, 1], 2.5 on average: the density is uniform on parts as long as their roots.

    R(D) at small errors is the differential entropy there less that of the error.
    """
    points, weight = np.linspace(0.0, 1.0, 4001), np.where(np.arange(4001) < 2001, 1.0, 4.0)
    entropy_there = (math.log2(1.0 / math.sqrt(2.5)) + math.log2(2.0 / math.sqrt(2.5))) / 2
    bits = least_bits(points, np.ones(4001), 1e-6, weight)
    assert bits == pytest.approx(entropy_there - math.log2(2.0 * math.pi * math.e * 1e-6) / 2, abs=TOLERANCE)
    assert least_bits(points, np.ones(4001), 1e-6, 7.0 * np.ones(4001)) == least_bits(points, np.ones(4001), 1e-6)


def test_outliers_cost_their_share() -> None:
    """A few values a million times as large as the others do not spoil the grid of the others."""
    points, mass = np.append(np.linspace(0.0, 1.0, 1001), 1e6), np.append(np.ones(1001), 1e-3)
    plain = least_bits(points[:-1], mass[:-1], 1e-4)
    assert least_bits(points, mass, 1e-4) == pytest.approx(plain, abs=TOLERANCE)


@given(st.integers(1, 600), st.floats(0.0, 1.0))
def test_spikes_carry_the_bits(slots: int, share: float) -> None:
    bits = share * slots
    spikes = least_spikes(bits, slots)
    assert 0.0 <= spikes <= slots / 2
    if 0.0 < spikes < slots / 2:
        assert slots * entropy(spikes / slots) == pytest.approx(bits, abs=2e-4 * slots)


def test_no_bits_take_no_spikes_and_too_many_take_half_of_the_slots() -> None:
    assert least_spikes(0.0, 16) == 0.0
    assert least_spikes(16.0, 16) == least_spikes(math.inf, 16) == 8.0


@pytest.mark.parametrize("timesteps", [4, 8, 16])
def test_no_code_fires_less(timesteps: int) -> None:
    """Codes of a bell-shaped magnitude with a heavy tail, from the sparsest to the most exact."""
    points = np.linspace(0.0, 8.0, 512)
    counts = np.exp(-(points**2) / 2) + 1e-3 / (1.0 + points**2)
    signal = Signal(points, counts, np.ones(512), np.ones(1, np.float32), 8.0, 8.0)
    codes = binary_codes(density_up_to(8.0, points, counts), timesteps, limit=8.0)
    for code in codes[:: max(1, len(codes) // 6)]:
        neuron = code.neuron(one_sided=False, gate=True)
        bits = signal.least_bits(neuron)
        assert bits <= neuron.slots
        assert least_spikes(bits, neuron.slots) <= code.spikes

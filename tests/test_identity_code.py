# SPDX-License-Identifier: Apache-2.0
"""Identity codes: what they reach, what they lose, and that the search finds the best of them."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnx_snn.errors import ConfigError
from onnx_snn.fitting.density import Density, calibrated_density, uniform_density
from onnx_snn.fitting.identity_code import fit_identity
from onnx_snn.fitting.knot_search import Target
from onnx_snn.fitting.level_search import _ceil_log2, best_exponents
from onnx_snn.neurons.mbe import MbeNeuron

LIMIT = 64.0


def outlier_signal(elements: int, seed: int) -> NDArray[np.float64]:
    """N(0, 1) of which one element in a thousand is 30 to 60 in magnitude."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal(elements)
    outlier = rng.random(elements) < 1e-3
    signal[outlier] = np.sign(signal[outlier]) * rng.uniform(30.0, 60.0, outlier.sum())
    return signal


def histogram(signal: NDArray[np.float64], limit: float = LIMIT) -> Density:
    edges = np.concatenate([[0.0], np.geomspace(limit * 2.0**-20, limit, 641)])
    counts, _ = np.histogram(np.abs(signal), edges)
    return Density((edges[1:] + edges[:-1]) / 2.0, counts / counts.sum())


DENSITY = histogram(outlier_signal(1 << 16, seed=1))
TEST_SIGNAL = outlier_signal(1 << 17, seed=2)


def level_sizes(code: MbeNeuron) -> NDArray[np.float64]:
    return code.weight.astype(np.float64) * 2.0 ** (1 - (code.timesteps - 1))


# Relative squared errors that an exhaustive search reached on this distribution, with as many bases on either
# sign; the floors of a calibrated density may cost a third on top.
@pytest.mark.parametrize(
    ("bases", "timesteps", "error"),
    [
        (4, 1, 3.1e-2),
        (8, 1, 8.8e-3),
        (4, 2, 6.1e-3),
        (8, 2, 1.3e-3),
        (4, 4, 3.5e-4),
        (8, 4, 6.6e-5),
        (4, 6, 2.2e-5),
        (8, 6, 4.2e-6),
        (4, 8, 2.0e-6),
        (4, 12, 7.9e-9),
        (4, 16, 3.1e-11),
    ],
)
def test_error(bases: int, timesteps: int, error: float) -> None:
    code = fit_identity(DENSITY, bases, timesteps, limit=LIMIT)
    y = code(TEST_SIGNAL).astype(np.float64)
    # The input is float32: its own rounding is in the reference too.
    x = TEST_SIGNAL.astype(np.float32).astype(np.float64)
    assert np.mean((y - x) ** 2) / np.mean(x**2) <= 1.34 * error


@given(st.integers(1, 12), st.integers(8, 16), st.floats(1e-3, 1e5))
def test_power_of_two_codes_are_integer(bases: int, timesteps: int, limit: float) -> None:
    code = fit_identity(histogram(TEST_SIGNAL[:4096]), bases, timesteps, limit=limit)
    sizes = level_sizes(code)
    np.testing.assert_array_equal(np.frexp(sizes)[0], 0.5)
    assert (np.diff(sizes) >= 0.0).all()
    levels = code(np.linspace(-limit, limit, 999)).astype(np.float64) / sizes[0]
    np.testing.assert_array_equal(levels, np.round(levels))
    assert np.abs(levels).max() <= 2.0 ** (24 if timesteps == 8 else 53)


@settings(max_examples=30)
@given(st.integers(1, 16), st.integers(1, 16), st.booleans(), st.floats(1e-3, 1e5))
def test_reaches_limit(bases: int, timesteps: int, one_sided: bool, limit: float) -> None:
    signal = TEST_SIGNAL[:4096] * (limit / LIMIT)
    code = fit_identity(histogram(signal, limit), bases, timesteps, limit=limit, one_sided=one_sided)
    knots = np.concatenate([[0.0], np.cumsum(level_sizes(code) * (2.0**timesteps - 1.0))])
    coarsest = 1.0 / (abs(float(code.gain[-1])) * 2.0 ** (timesteps - 1))
    if (np.frexp(code.weight)[0] == 0.5).all():
        assert knots[-1] >= limit
        # Rounded to the nearest level, and once more to float32.
        assert abs(float(code(limit)) - limit) <= coarsest / 2.0 + limit * 2.0**-23
    else:
        # Half a level below, or above, where the best value at the last knot lies.
        assert abs(float(code(limit)) - limit) <= coarsest


@settings(max_examples=15)
@given(st.integers(1, 8), st.integers(1, 16), st.integers(-40, 40))
def test_scaling_by_power_of_two(bases: int, timesteps: int, exponent: int) -> None:
    factor = 2.0**exponent
    code = fit_identity(DENSITY, bases, timesteps, limit=LIMIT)
    scaled = fit_identity(Density(DENSITY.points * factor, DENSITY.mass), bases, timesteps, limit=LIMIT * factor)
    x = TEST_SIGNAL[:500].astype(np.float32)
    np.testing.assert_array_equal(scaled(x * np.float32(factor)), code(x) * np.float32(factor))


@pytest.mark.parametrize("timesteps", [1, 2, 4, 8, 16])
def test_signed_code_is_odd_and_silent_at_zero(timesteps: int) -> None:
    code = fit_identity(DENSITY, 8, timesteps, limit=LIMIT)
    assert code.polarity == 1
    assert code.bias == 0.0
    assert float(code(0.0)) == 0.0
    np.testing.assert_array_equal(code(-TEST_SIGNAL), -code(TEST_SIGNAL))


@pytest.mark.parametrize("timesteps", [1, 2, 4, 8, 16])
def test_one_sided_code(timesteps: int) -> None:
    code = fit_identity(uniform_density(0.0, 1.0), 8, timesteps, limit=1.0, one_sided=True)
    assert code.polarity == 0
    np.testing.assert_array_equal(code(np.array([-np.inf, -1.0, -1e-9, 0.0])), 0.0)
    probabilities = np.linspace(0.0, 1.0, 5001)
    # Eight equal segments of 2**T - 1 levels each err by half a level; twice that for sizes in octaves.
    assert np.abs(code(probabilities) - probabilities).max() <= 1.0 / (8.0 * (2.0**timesteps - 1.0)) + 2.0**-24


def test_more_bases_or_timesteps_lose_less() -> None:
    x = TEST_SIGNAL[:20000].astype(np.float32)
    errors = {
        (n, t): np.mean((fit_identity(DENSITY, n, t, limit=LIMIT)(x).astype(np.float64) - x) ** 2)
        for n in (2, 4, 8, 16)
        for t in (2, 4, 6, 8, 10)
    }
    assert all(errors[2 * n, t] < errors[n, t] for n in (2, 4, 8) for t in (2, 4, 6, 8, 10))
    assert all(errors[n, t + 2] < errors[n, t] for n in (2, 4, 8, 16) for t in (2, 4, 6, 8))


@pytest.mark.parametrize("timesteps", [4, 8, 12])
@pytest.mark.parametrize("bases", [1, 2, 3, 4])
def test_search_finds_thebest_exponents(bases: int, timesteps: int) -> None:
    points, mass = calibrated_density(*DENSITY, 0.0, LIMIT)
    below, power = np.cumsum(mass), np.cumsum(mass * points**2)
    length = 2.0**timesteps - 1.0
    top = _ceil_log2(LIMIT / length)
    finest = max(top - 14, _ceil_log2(LIMIT) + 1 - 24) if timesteps <= 8 else top - 14

    def cost(exponents: NDArray[np.int64]) -> NDArray[np.float64]:
        """Error of the codes `exponents` [K, N], each level's rounding taken as even noise."""
        level = 2.0**exponents
        ends = np.cumsum(length * level, axis=1)
        starts = np.concatenate([level[:, :1] / 2.0, ends[:, :-1]], axis=1)
        mass_within = np.interp(ends, points, below) - np.interp(starts, points, below)
        total = (level**2 / 12.0 * mass_within).sum(axis=1) + np.interp(starts[:, 0], points, power)
        return np.where(ends[:, -1] >= LIMIT, total, np.inf)

    exhaustive = cost(np.array(list(combinations_with_replacement(range(finest, top + 1), bases)))).min()
    target = Target(points, points, mass, anchored=True, reach=LIMIT)
    found = cost(best_exponents(target, bases, timesteps)[None, :])[0]
    # Codes that end in one cell compete before they are complete: a fiftieth may be lost.
    assert found <= 1.02 * exhaustive


@pytest.mark.parametrize(("value", "power"), [(1.0, 0), (np.nextafter(1.0, 2.0), 1), (0.75, 0), (5.0, 3)])
def test_ceil_log2(value: float, power: int) -> None:
    assert _ceil_log2(float(value)) == power


@pytest.mark.parametrize("limit", [0.0, -1.0, np.inf, np.nan])
def test_limit_must_be_positive(limit: float) -> None:
    with pytest.raises(ConfigError, match="limit is"):
        fit_identity(DENSITY, 4, 4, limit=limit)


def test_density_must_hold_magnitudes() -> None:
    with pytest.raises(ConfigError, match=r"the density holds -1\.0"):
        fit_identity(uniform_density(-1.0, 1.0), 4, 4, limit=1.0)

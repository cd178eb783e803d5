# SPDX-License-Identifier: Apache-2.0
"""Densities that neurons are fitted to: uniform ones, and those of calibration data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.errors import ConfigError
from onnx_snn.fitting.density import calibrated_density, uniform_density


def test_uniform_density() -> None:
    points, mass = uniform_density(-3.0, 5.0, 1000)
    assert (points[0], points[-1]) == (-3.0, 5.0)
    assert np.all(np.diff(points) > 0.0)
    cell = np.floor((points[1:-1] + 3.0) / 8.0 * 1000)
    np.testing.assert_array_equal(cell, np.arange(1, 999))
    np.testing.assert_array_equal(mass, 1e-3)


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30, unique=True),
    st.floats(-1e3, 0.0),
    st.floats(1e-3, 1e3),
)
def test_calibrated_density(points: list[float], lo: float, extent: float) -> None:
    hi = lo + extent
    counts = np.arange(1, len(points) + 1)
    density = calibrated_density(np.sort(points), counts, lo, hi)
    assert density.points.size <= 4096
    assert np.all(np.diff(density.points) > 0.0)
    assert density.points[0] == lo
    assert density.points[-1] == pytest.approx(hi, abs=1e-12 * extent)
    assert np.isclose(density.mass.sum(), 1.0, rtol=1e-12)
    assert density.mass.min() > 0.0
    # The mean is that of the clipped histogram, but for the floors' 2e-4 of the range.
    mean = np.average(np.sort(points).clip(lo, hi), weights=counts)
    assert abs(np.average(density.points, weights=density.mass) - mean) <= 2.1e-4 * extent


def test_long_histogram_is_thinned() -> None:
    points = np.linspace(-1.0, 1.0, 50001)
    density = calibrated_density(points, np.ones(50001), -2.0, 2.0)
    assert density.points.size <= 4096
    assert abs(np.average(density.points**2, weights=density.mass) - np.mean(points**2)) <= 1e-3


@pytest.mark.parametrize(
    ("points", "counts", "lo", "hi", "message"),
    [
        ([0.0], [1], 1.0, 1.0, "the range to be fitted"),
        ([0.0], [1], 0.0, np.inf, "the range to be fitted"),
        ([0.0, 1.0], [1], 0.0, 1.0, "shapes"),
        ([0.0], [0], 0.0, 1.0, "not all zero"),
        ([0.0, 1.0], [2, -1], 0.0, 1.0, "finite masses >= 0"),
        ([np.nan], [1], 0.0, 1.0, "finite points"),
    ],
)
def test_bad_histogram(points: list[float], counts: list[int], lo: float, hi: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        calibrated_density(points, counts, lo, hi)

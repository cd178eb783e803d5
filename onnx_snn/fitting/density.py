# SPDX-License-Identifier: Apache-2.0
"""Densities: discrete distributions of the arguments of a fitted function.

A calibrated density is the histogram of every element that passed a site, mixed with two floors. The uniform floor
keeps the segments over arguments that calibration did not see from becoming too coarse. The logarithmic floor keeps
segments near zero fine where a few massive activations stretch the range.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnx_snn.arrays import Float64
from onnx_snn.errors import ConfigError

UNIFORM_FLOOR = 1e-4
"""Share of the mass that is spread evenly over the range. At a hundredth of it, errors at unseen arguments are ten
times as large."""

LOG_FLOOR = 1e-4
"""Share of the mass that is spread evenly over the logarithm of the magnitude."""

LOG_OCTAVES = 20
"""Extent of the logarithmic floor below the largest magnitude, in octaves; 16 bits resolve no smaller magnitudes."""

GOLDEN_RATIO = (math.sqrt(5.0) - 1.0) / 2.0
"""Golden ratio (sqrt(5) - 1) / 2. Its multiples modulo 1 are spread most evenly, so points placed by it are irregular
without clusters."""

HISTOGRAM_POINTS = 2048
"""Largest number of points of the histogram in a calibrated density."""

UNIFORM_POINTS = 1024
"""Number of points of the uniform floor."""

LOG_POINTS = 512
"""Number of points of the logarithmic floor on each sign; with the others, 4096 points in all."""


class Density(NamedTuple):
    """A discrete distribution: `points` float64 [M], sorted and distinct, and `mass` float64 [M], sum 1."""

    points: Float64
    mass: Float64


def uniform_density(lo: float, hi: float, points: int = 4096) -> Density:
    """Equal mass on one point in each of `points` equal cells of [lo, hi], including both ends.

    The position within a cell follows multiples of the golden ratio. On a regular grid a fit would choose level sizes
    that are exact at every point and wrong between them.

    Raises:
        ConfigError: the range is empty or not finite.
    """
    _check_range(lo, hi)
    cell = np.arange(points, dtype=np.float64)
    offset = np.modf((cell + 0.5) * GOLDEN_RATIO)[0]
    inside = lo + (cell + offset) * ((hi - lo) / points)
    return Density(np.concatenate([[lo], inside[1:-1], [hi]]), np.full(points, 1.0 / points))


def calibrated_density(points: ArrayLike, mass: ArrayLike, lo: float, hi: float) -> Density:
    """The histogram `points` [M], `mass` [M] on the range [lo, hi], mixed with both floors.

    Args:
        points: sorted arguments, such as the centres of histogram bins; those out of range are clipped to it.
        mass: frequency of each argument, in any unit.
        lo: lower end of the range.
        hi: upper end of the range.

    Raises:
        ConfigError: the range is empty, shapes disagree, values are not finite, masses are negative or all 0.
    """
    _check_range(lo, hi)
    points, mass = np.asarray(points, np.float64), np.asarray(mass, np.float64)
    if points.ndim != 1 or points.shape != mass.shape:
        raise ConfigError(f"points and mass have shapes {points.shape} and {mass.shape}; expected one [M] for both")
    if not (np.isfinite(points).all() and np.isfinite(mass).all() and (mass >= 0.0).all() and mass.any()):
        raise ConfigError("a histogram needs finite points and finite masses >= 0 that are not all zero")
    histogram = _thin(np.clip(points, lo, hi)[mass > 0.0], mass[mass > 0.0])
    uniform = uniform_density(lo, hi, UNIFORM_POINTS)
    logarithmic = _log_points(lo, hi)
    share = (1.0 - UNIFORM_FLOOR - LOG_FLOOR) / histogram.mass.sum()
    return _merged(
        np.concatenate([histogram.points, uniform.points, logarithmic]),
        np.concatenate(
            [
                histogram.mass * share,
                uniform.mass * UNIFORM_FLOOR,
                np.full(logarithmic.size, LOG_FLOOR / logarithmic.size),
            ]
        ),
    )


def folded(density: Density) -> Density:
    """The density of the magnitudes of a signed value."""
    return _merged(np.abs(density.points), density.mass)


def mirrored(density: Density) -> Density:
    """The density of a symmetric signed value from the `density` of its magnitudes."""
    positive = density.points > 0.0
    points = np.concatenate([-density.points[positive][::-1], density.points])
    mass = np.concatenate([density.mass[positive][::-1] / 2, np.where(positive, density.mass / 2, density.mass)])
    return Density(points, mass)


def density_up_to(limit: float, points: Float64, counts: NDArray[Any]) -> Density:
    """The density of magnitudes `points` [M] with `counts` [M], clipped to [0, limit], with a point at both ends."""
    clipped = np.clip(np.concatenate([points, [0.0, limit]]), 0.0, limit)
    distinct, indices = np.unique(clipped, return_inverse=True)
    mass = np.bincount(indices, weights=np.append(counts / counts.sum(), [0.0, 0.0])).astype(np.float64)
    return Density(distinct, mass)


def median(density: Density) -> float:
    """The point below which half of the mass lies."""
    # In float32, so that the median of a symmetric density does not depend on the order of summation.
    below = np.cumsum(density.mass).astype(np.float32)
    return float(density.points[np.searchsorted(below, np.float32(0.5) * below[-1])])


def check_density(density: Density) -> None:
    """Raise ConfigError unless `density` has two points or more, sorted and distinct, and masses >= 0."""
    points, mass = density
    if points.ndim != 1 or points.shape != mass.shape or points.size < 2:
        raise ConfigError(f"a density has points {points.shape} and mass {mass.shape}; expected one [M], M >= 2")
    if not (np.isfinite(points).all() and (np.diff(points) > 0.0).all()):
        raise ConfigError("the points of a density are not finite, sorted and distinct")
    if not (np.isfinite(mass).all() and (mass >= 0.0).all() and mass.any()):
        raise ConfigError("the masses of a density are not finite and >= 0, or are all zero")


def _thin(points: Float64, mass: Float64) -> Density:
    """The distribution on at most HISTOGRAM_POINTS points; neighbours are merged at their centre of mass."""
    group = math.ceil(points.size / HISTOGRAM_POINTS)
    starts = np.arange(0, points.size, group)
    merged: Float64 = np.add.reduceat(mass, starts)
    centres: Float64 = np.add.reduceat(points * mass, starts) / merged
    return Density(centres, merged)


def _log_points(lo: float, hi: float) -> Float64:
    """Points of the logarithmic floor inside (lo, hi), of either sign."""
    limit = max(abs(lo), abs(hi))
    # In float32, so that the last bit of exp2 in float64, which depends on the machine, has no effect.
    share = np.exp2(-LOG_OCTAVES * (np.arange(LOG_POINTS) + 0.5) / LOG_POINTS).astype(np.float32)
    magnitudes = limit * share.astype(np.float64)
    both = np.concatenate([-magnitudes, magnitudes])
    inside = both[(both > lo) & (both < hi)]
    return inside if inside.size else np.array([0.5 * (lo + hi)])


def _merged(points: Float64, mass: Float64) -> Density:
    """The density with sorted points, equal ones merged, and mass of sum 1."""
    distinct, indices = np.unique(points, return_inverse=True)
    total = np.bincount(indices, weights=mass)
    return Density(distinct, total / total.sum())


def _check_range(lo: float, hi: float) -> None:
    if not (np.isfinite(lo) and np.isfinite(hi) and lo < hi):
        raise ConfigError(f"the range to be fitted is [{lo}, {hi}]; expected finite ends, lo < hi")

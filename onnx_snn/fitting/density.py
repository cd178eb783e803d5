# SPDX-License-Identifier: Apache-2.0
"""Densities: how often each argument of a fitted function occurs.

A calibrated density is the histogram of every element that passed a site, plus two floors. The uniform floor
keeps arguments that calibration never saw from being served by one coarse segment; the logarithmic one keeps
the segments of a range that a few massive activations stretched fine near zero.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnx_snn.errors import ConfigError

Float64 = NDArray[np.float64]

UNIFORM_FLOOR = 1e-4
"""Share of mass spread evenly over the range. A hundredth of it makes unseen arguments ten times worse."""

LOG_FLOOR = 1e-4
"""Share of mass spread evenly over the logarithm of the magnitude."""

LOG_OCTAVES = 20
"""The logarithmic floor ends this far below the largest magnitude, where 16 bits have resolved everything."""

GOLDEN_RATIO = (math.sqrt(5.0) - 1.0) / 2.0
"""Multiples of it, modulo 1, fall farther from each other than those of any other number."""

HISTOGRAM_POINTS = 2048
UNIFORM_POINTS = 1024
LOG_POINTS = 512
"""Points that a calibrated density spends on each share (the logarithmic one on either sign): 4096 in all."""


class Density(NamedTuple):
    """A discrete distribution: `points` float64 [M], sorted and distinct, and `mass` float64 [M], sum 1."""

    points: Float64
    mass: Float64


def uniform_density(lo: float, hi: float, points: int = 4096) -> Density:
    """Equal mass on one point in each of `points` equal cells of [lo, hi], both ends among them.

    Within their cells the points follow the golden ratio. A regular grid resonates with the levels of a
    segment: a fit finds level sizes that hit every point and miss what lies between.

    Raises:
        ConfigError: the range is empty or not finite.
    """
    _check_range(lo, hi)
    cell = np.arange(points, dtype=np.float64)
    within = np.modf((cell + 0.5) * GOLDEN_RATIO)[0]
    inside = lo + (cell + within) * ((hi - lo) / points)
    return Density(np.concatenate([[lo], inside[1:-1], [hi]]), np.full(points, 1.0 / points))


def calibrated_density(points: ArrayLike, mass: ArrayLike, lo: float, hi: float) -> Density:
    """The histogram `points` [M], `mass` [M] on the range [lo, hi], mixed with both floors.

    Args:
        points: sorted arguments, such as the centres of histogram bins; those out of range count at its end.
        mass: how often each occurs, in any unit.
        lo: lower end of the range to be fitted.
        hi: upper end of it.

    Raises:
        ConfigError: the range is empty, shapes disagree, values are not finite, or masses not positive.
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
    """The density of the magnitude."""
    return _merged(np.abs(density.points), density.mass)


def mirrored(density: Density) -> Density:
    """The density of a symmetric signed value of which `density` holds the magnitudes."""
    positive = density.points > 0.0
    points = np.concatenate([-density.points[positive][::-1], density.points])
    mass = np.concatenate([density.mass[positive][::-1] / 2, np.where(positive, density.mass / 2, density.mass)])
    return Density(points, mass)


def density_up_to(limit: float, points: Float64, counts: NDArray[Any]) -> Density:
    """The density of magnitudes `points` [M] that occur `counts` [M] times, on [0, limit] with both ends."""
    reached = np.clip(np.concatenate([points, [0.0, limit]]), 0.0, limit)
    distinct, places = np.unique(reached, return_inverse=True)
    mass = np.bincount(places, weights=np.append(counts / counts.sum(), [0.0, 0.0])).astype(np.float64)
    return Density(distinct, mass)


def median(density: Density) -> float:
    """The point below which half of the mass lies."""
    # In float32, so that the middle of a symmetric density is the same in whichever order it is summed.
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
    """At most HISTOGRAM_POINTS points: neighbours unite at their centre of mass."""
    group = -(-points.size // HISTOGRAM_POINTS)
    starts = np.arange(0, points.size, group)
    united: Float64 = np.add.reduceat(mass, starts)
    centres: Float64 = np.add.reduceat(points * mass, starts) / united
    return Density(centres, united)


def _log_points(lo: float, hi: float) -> Float64:
    limit = max(abs(lo), abs(hi))
    # In float32, so that machines agree whose exp2 differ in the last bit of float64.
    share = np.exp2(-LOG_OCTAVES * (np.arange(LOG_POINTS) + 0.5) / LOG_POINTS).astype(np.float32)
    magnitudes = limit * share.astype(np.float64)
    both = np.concatenate([-magnitudes, magnitudes])
    inside = both[(both > lo) & (both < hi)]
    return inside if inside.size else np.array([0.5 * (lo + hi)])


def _merged(points: Float64, mass: Float64) -> Density:
    """Sorted, equal points united, mass normalised."""
    distinct, where = np.unique(points, return_inverse=True)
    total = np.bincount(where, weights=mass)
    return Density(distinct, total / total.sum())


def _check_range(lo: float, hi: float) -> None:
    if not (np.isfinite(lo) and np.isfinite(hi) and lo < hi):
        raise ConfigError(f"the range to be fitted is [{lo}, {hi}]; expected finite ends, lo < hi")

# SPDX-License-Identifier: Apache-2.0
"""The target of a fit, and its best partition into segments by dynamic programming.

The cost of a segment is the squared error of its chord, or of its least-squares line, plus that of rounding to its
levels. The partition of least total cost into N segments between candidate positions is found exactly. Since costs
ignore that neighbouring segments share their values at a knot, it is only a start: `piecewise_linear` joins the
segments and optimizes the knots by coordinate descent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.errors import ConfigError
from onnx_snn.fitting.density import Density, check_density, folded
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import MAX_TIMESTEPS, MbeNeuron

CANDIDATES = 160
"""Number of candidate knot positions. Twice as many take four times as long, and descent ends at the same errors."""

BEND_SHARE = 1.0
"""Relative number of candidates that are placed by the curvature of the function."""

SLOPE_SHARE = 1.0
"""Relative number of candidates that are placed by the slope of the function."""

EVEN_SHARE = 0.3
"""Relative number of candidates that are spread evenly over the points."""

NEGLIGIBLE = 1e-300
"""Lower bound of divisors, for segments without mass and functions without slope."""


class Target(NamedTuple):
    """The function that a bank of bases is fitted to, with the weights of its errors.

    Attributes:
        points: arguments, float64 [M], sorted.
        values: values of the function at the points, float64 [M].
        weight: weights of the squared errors at the points, float64 [M], of sum 1.
        anchored: whether the first knot lies at x >= 0 and has the value 0, for odd functions and identity codes.
        reach: lower bound of the last knot; None for none.
    """

    points: Float64
    values: Float64
    weight: Float64
    anchored: bool = False
    reach: float | None = None


def target_of(function: ScalarFunction, density: Density, *, mirrored: bool) -> Target:
    """The target of a fit of `function` on `density`; on its magnitudes if the neuron is `mirrored`.

    Raises:
        ConfigError: the density is invalid, or the function is not finite on it.
    """
    check_density(density)
    points, mass = folded(density) if mirrored else density
    # In float32, so that the last bit of exponentials in float64, which depends on the machine, has no effect.
    with np.errstate(all="ignore"):
        values = function.formula(points).astype(np.float32).astype(np.float64)
    if not np.isfinite(values).all():
        raise ConfigError(f"function {function.name!r} is not finite at {points[~np.isfinite(values)][0]}")
    weight = mass / values**2 if function.relative else mass
    return Target(points, values, weight / weight.sum(), anchored=mirrored)


def check_size(bases: int, timesteps: int) -> None:
    """Raise ConfigError unless a neuron can have N = `bases` and T = `timesteps`."""
    if bases < 1:
        raise ConfigError(f"bases is {bases}; expected 1 or more")
    if not 1 <= timesteps <= MAX_TIMESTEPS:
        raise ConfigError(f"timesteps is {timesteps}; expected 1 to {MAX_TIMESTEPS}")


def error_of(neuron: MbeNeuron, target: Target) -> float:
    """Weighted mean of the squared error of `neuron` on `target`."""
    x = target.points.astype(np.float32)
    return float((target.weight * (neuron(x) - target.values) ** 2).sum())


def best_partition(target: Target, bases: int, levels: int, *, chords: bool) -> Float64:
    """Knots [N + 1] of the N = `bases` segments of least total cost.

    Args:
        target: function and weights.
        bases: number of segments N.
        levels: number of levels of a segment.
        chords: whether the cost of a segment is that of its chord, else that of its least-squares line.
    """
    positions = _candidates(target)
    cost = _segment_costs(target, positions, levels, chords)
    best, choices = cost[0], []
    for _ in range(bases - 1):
        through = best[:, None] + cost
        choices.append(through.argmin(axis=0))
        best = through.min(axis=0)
    path = [len(positions) - 1]
    for choice in reversed(choices):
        path.append(int(choice[path[-1]]))
    return positions[[0, *reversed(path)]]


def _candidates(target: Target) -> Float64:
    """Candidate knot positions, denser where segments must be short.

    The exponents 1/5 and 1/3 are those of the asymptotically optimal knot density of piecewise-linear and
    piecewise-constant functions.
    """
    points, mass = target.points, target.weight
    cell = np.gradient(points)
    slope = np.gradient(target.values, points)
    bend = np.gradient(slope, points)
    density = mass / cell
    share = (
        BEND_SHARE * _normalised((density * bend**2) ** (1 / 5) * cell)
        + SLOPE_SHARE * _normalised((density * slope**2) ** (1 / 3) * cell)
        + EVEN_SHARE / points.size
    )
    # Rounded to a grid, because the middle candidate of a symmetric function lies on a tie.
    cumulated = np.round(np.cumsum(share) / share.sum() * 2.0**30)
    where = np.searchsorted(cumulated, np.linspace(0.0, 2.0**30, CANDIDATES + 1)[1:-1])
    first = 0.0 if target.anchored else points[0]
    last = points[-1] if target.reach is None else target.reach
    return np.unique(np.concatenate([[first], points[where], [last]]).clip(first, last))


def _normalised(share: Float64) -> Float64:
    """`share` divided by its sum."""
    normalised: Float64 = share / max(share.sum(), NEGLIGIBLE)
    return normalised


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def _segment_costs(target: Target, positions: Float64, levels: int, chords: bool) -> Float64:
    """Cost of a segment from candidate i to candidate j, float64 [C, C], infinite unless i < j."""
    values = np.interp(positions, target.points, target.values)
    mass, w_x, w_y, w_xx, w_xy, w_yy = _moments(target, positions, values)
    length = positions[None, :] - positions[:, None]
    if chords:
        slope = (values[None, :] - values[:, None]) / length
        misfit = w_yy - slope * (2.0 * w_xy - slope * w_xx)
    else:
        mass = np.maximum(mass, NEGLIGIBLE)
        covariance, variance = w_xy - w_x * w_y / mass, w_xx - w_x * w_x / mass
        # A variance at the size of rounding noise gives a line of slope 0.
        slope = np.where(variance > 1e-15 * w_xx, covariance / variance, 0.0)
        misfit = w_yy - w_y**2 / mass - covariance * slope
    cost = np.maximum(misfit, 0.0) + (slope * length / levels) ** 2 / 12.0 * mass
    # In float32, so that partitions that are equal by symmetry have equal costs in any order of summation.
    return np.where(length > 0.0, cost.astype(np.float32), np.inf)


def _moments(target: Target, positions: Float64, values: Float64) -> list[Float64]:
    """Sums of w, w x, w y, w x x, w x y, w y y over the points between candidates i and j, each [C, C].

    x and y are relative to candidate i. Differences of cumulative sums over the whole range would lose all digits near
    zero, where most segments lie, because massive activations dominate the sums.
    """
    last = len(positions) - 1
    cell = (np.searchsorted(positions, target.points, side="right") - 1).clip(0, last - 1)
    x, y = target.points - positions[cell], target.values - values[cell]
    w, w_x, w_y, w_xx, w_xy, w_yy = (
        np.bincount(cell, target.weight * moment, last) for moment in (np.ones_like(x), x, y, x * x, x * y, y * y)
    )
    # The moments of each cell, shifted to the origin of each candidate i; then the sums of cells i to j - 1.
    a, b = positions[None, :-1] - positions[:, None], values[None, :-1] - values[:, None]
    shifted = [
        w + 0.0 * a,
        w_x + a * w,
        w_y + b * w,
        w_xx + a * (2.0 * w_x + a * w),
        w_xy + b * w_x + a * (w_y + b * w),
        w_yy + b * (2.0 * w_y + b * w),
    ]
    return [np.pad(np.cumsum(np.triu(each), axis=1), ((0, 0), (1, 0))) for each in shifted]

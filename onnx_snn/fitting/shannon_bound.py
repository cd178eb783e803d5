# SPDX-License-Identifier: Apache-2.0
"""Shannon's bound: the fewest spikes per element with which any code reaches a given squared error.

**Bits.** Whatever a code is, its spikes tell of an element x with density p at least the rate-distortion function
(C. E. Shannon, "Coding theorems for a discrete source with a fidelity criterion", IRE Convention Record, 1959)

    R(D) = min I(X; Y)  over all conditional distributions of Y with  E (X - Y)**2 <= D

It is computed on a histogram by the iteration of Blahut and Arimoto. An entropy-coded quantiser would be a shorter
program, but where an activation leaves many zeros no constant is known by which its entropy lies above R(D). For
distributions q of Y, kernels g(x, y) = exp(-s (x - y)**2), a(x) = 1 / sum_y q(y) g(x, y) and
c(y) = sum_x p(x) a(x) g(x, y), the step q <- q * c lowers the rate, and at every step

    R(D) >= sum_x p(x) log a(x) - log max_y c(y) - s D

(R. E. Blahut, "Computation of channel capacity and rate-distortion functions", IEEE Trans. IT 18, 1972), so that what
is returned is a bound also where the iteration has not converged.

**Spikes.** A pattern of M slots of which each holds a spike or none, k of them on average, carries at most M h(k / M)
bits, with h the binary entropy: that of independent slots of equal rates. So the bound is the least k with

    M h(k / M) >= R(D)

The sign of an element costs no spike, as it tells which of two mirrored populations fires; p is then the density of the
magnitude. The bound is that of elements that are coded one by one, by their density alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.fitting.density import GOLDEN_RATIO

CELLS_PER_ERROR = 3.0
"""Number of cells of the grid for each root mean square error, which moves the rate by less than 0.01 bits."""

MOST_CELLS = 8192
"""Largest number of cells. The rate at smaller errors is extrapolated by the slope of the rate-distortion function."""

OUTLIERS = 1e-4
"""Share of the elements, those of the largest magnitudes, whose bits are not counted: they would stretch the grid."""

ITERATIONS = 100
"""Largest number of steps. Most rates converge in a few, those near R(D) = 0 slowly."""

CONVERGED = 0.005
"""Bits by which the bound may be too low at the end, and share by which the iteration's error may differ from D."""

NEGLIGIBLE = 1e-12
"""Value of the kernel, relative to its centre, at which it is cut off."""


class Grid(NamedTuple):
    """A distribution on a uniform grid.

    Attributes:
        mass: probability of each cell, float64 [n], of sum 1.
        spacing: distance between two cells.
    """

    mass: Float64
    spacing: float


def least_spikes(bits: float, slots: int) -> float:
    """The smallest mean number of spikes of a pattern of `slots` slots that carries `bits` bits; at most slots / 2."""
    low, high = 0.0, slots / 2
    while high - low > 1e-6 * slots:
        middle = (low + high) / 2
        low, high = (middle, high) if slots * _binary_entropy(middle / slots) < bits else (low, middle)
    return high if bits > 0.0 else 0.0


def _binary_entropy(share: float) -> float:
    """Entropy in bits of a slot that holds a spike with probability `share`, above 0 and below 1."""
    return -share * math.log2(share) - (1.0 - share) * math.log2(1.0 - share)


def least_bits(points: Float64, mass: Float64, error: float, weight: Float64 | None = None) -> float:
    """R(D) of a histogram, in bits for each element.

    Args:
        points: arguments, float64 [M], sorted. The mass of a point other than 0 is taken as spread evenly
            up to the middle of its neighbours.
        mass: frequency of each point, float64 [M], in any unit.
        error: mean squared error D, the weights of all elements taken as 1 on average.
        weight: weight of a squared error at each point, float64 [M]; None for equal weights. The points are then moved
            apart by its root, so that equal distances count alike; this is exact for errors within which the weight
            changes little.
    """
    points, mass, error = _without_outliers(points, mass, error, weight)
    if not points[-1] > points[0]:  # a constant
        return 0.0
    if error <= 0.0:
        return math.inf
    kept = float(mass.sum())
    finest = max(error, (CELLS_PER_ERROR * (points[-1] - points[0]) / MOST_CELLS) ** 2)
    bits, slope = rate(_on_grid(points, mass / kept, math.sqrt(finest) / CELLS_PER_ERROR), finest)
    return float(kept * (bits + min(slope * finest * math.log(2.0), 0.5) * math.log2(finest / error)))


def _without_outliers(
    points: Float64, mass: Float64, error: float, weight: Float64 | None
) -> tuple[Float64, Float64, float]:
    """Points at distances of equal weight, their mass as shares of all elements, and the error, all without outliers.

    The rate without outliers, times the share of the others, is a bound: it is reached if whoever decodes is told which
    elements are outliers and what they are.
    """
    mass = mass / mass.sum()
    if weight is not None:
        root = np.sqrt(weight / (weight * mass).sum())
        steps = np.diff(points) * (root[1:] + root[:-1]) / 2
        points = points[0] * root[0] + np.concatenate([[0.0], np.cumsum(steps)])
    inside = np.cumsum(mass) <= 1.0 - OUTLIERS
    kept = inside if mass[inside].sum() > 0.5 else np.ones_like(inside)
    return points[kept], mass[kept], error / float(mass[kept].sum())


def moved_within_cells(points: Float64) -> Float64:
    """The points of a histogram, float64 [M], each moved to an irregular place between the middles of its neighbours.

    Bins have dyadic bounds, as the levels of many codes, which would look exact at all centres of bins. Zeros stay.
    """
    edges = _cell_edges(points)
    moved = edges[:-1] + np.modf(GOLDEN_RATIO * np.arange(points.size))[0] * np.diff(edges)
    return np.where(points == 0.0, 0.0, moved)


def _cell_edges(points: Float64) -> Float64:
    """The first point, the middles between neighbours, and the last point, float64 [M + 1]."""
    return np.concatenate([points[:1], (points[1:] + points[:-1]) / 2, points[-1:]])


def _on_grid(points: Float64, mass: Float64, spacing: float) -> Grid:
    """The histogram on a grid from its first point to its last."""
    cells = max(2, math.ceil((points[-1] - points[0]) / spacing) + 1)
    spacing = (points[-1] - points[0]) / (cells - 1)
    silent = float(mass[0]) if points[0] == 0.0 else 0.0
    spread = np.concatenate([[0.0], mass[1:]]) if silent else mass
    ends = points[0] + (np.arange(cells + 1) - 0.5) * spacing
    shares = np.diff(np.interp(ends, _cell_edges(points), np.concatenate([[0.0], np.cumsum(spread)])))
    shares[0] += silent
    return Grid(shares / shares.sum(), spacing)


def rate(grid: Grid, error: float) -> tuple[float, float]:
    """R(D) of a distribution on a grid in bits, and its slope -dR/dD in bits per unit of the squared error `error`."""
    mass, spacing = grid
    cells = np.arange(mass.size) * spacing
    if error >= (mass * cells**2).sum() - (mass * cells).sum() ** 2:
        return 0.0, 0.0
    occupied = mass > 0.0
    outputs = mass + 1e-3 / mass.size
    slope, best = 0.5 / error, (0.0, 0.0)
    for _ in range(ITERATIONS):
        kernel, squares = _kernel(slope, spacing, mass.size)
        posterior = np.divide(mass, _smoothed(outputs, kernel), out=np.zeros_like(mass), where=occupied)
        gain = _smoothed(posterior, kernel)
        distortion = float((posterior * _smoothed(outputs, kernel * squares)).sum())
        best = max(best, (_bound(mass[occupied], posterior[occupied], gain, slope * error), slope))
        if math.log2(gain.max()) < CONVERGED and abs(distortion / error - 1.0) < CONVERGED:
            break
        outputs = outputs * gain
        slope *= math.sqrt(distortion / error)
    return best[0] / math.log(2.0), best[1] / math.log(2.0)


def _bound(mass: Float64, posterior: Float64, gain: Float64, penalty: float) -> float:
    """The bound of an iteration, in nats."""
    return float((mass * np.log(posterior / mass)).sum()) - math.log(float(gain.max())) - penalty


def _kernel(slope: float, spacing: float, cells: int) -> tuple[Float64, Float64]:
    """The kernel exp(-s d**2) and the squared distances d**2 at which it is not negligible, float64 [2 r + 1] each."""
    radius = min(cells - 1, math.ceil(math.sqrt(-math.log(NEGLIGIBLE) / slope) / spacing))
    squares: Float64 = np.square(np.arange(-radius, radius + 1) * spacing)
    return np.asarray(np.exp(-slope * squares)), squares


def _smoothed(array: Float64, kernel: Float64) -> Float64:
    """The convolution of `array` [n] with a symmetric kernel, float64 [n]."""
    radius = kernel.size // 2
    return np.asarray(np.convolve(array, kernel)[radius : radius + array.size])

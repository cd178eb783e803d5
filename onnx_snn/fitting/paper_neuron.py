# SPDX-License-Identifier: Apache-2.0
"""Fit of the neuron of arXiv 2508.07710: the preset `paper`, and the baseline for the default preset.

All bases share one resting potential u_rest and truncate. The free parameters are u_rest, the amplitude
a_n = 1 / |gain_n| and the weight of each basis, and the common sign of all gains. With R_n = 2 * a_n

    q_n(x) = clip(floor(+-(x - u_rest) / R_n * 2**T), 0, 2**T - 1) / 2**T
    y(x) = bias + sum_n 2 * weight_n * q_n(x)

so that ramps are nested, and a basis with a large range is coarse everywhere. The ends of the ramps are found by
coordinate descent from the best partition into segments; the readout is least squares. As in `piecewise_linear`, the
result has the same bits on every machine.
"""

from __future__ import annotations

import math

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.fitting.density import Density, uniform_density
from onnx_snn.fitting.knot_search import Target, best_partition, check_size, target_of
from onnx_snn.fitting.piecewise_linear import FIRST_STEP, GRID_BITS, LAST_STEP, MARGIN, READOUT_BITS, WORTHWHILE
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import MbeNeuron, halving_neuron

RIDGE = 1e-12
"""Ridge of the normal equations, relative to a total mass of 1, which keeps them regular for nearly equal ramps."""


def fit_paper(function: ScalarFunction, bases: int, timesteps: int, density: Density | None = None) -> MbeNeuron:
    """The paper's neuron with N = `bases` and T = `timesteps` of least mean squared error on `density`.

    Args:
        function: function to approximate; ``get("identity")`` for matmul operands.
        bases: number of bases N.
        timesteps: number of time steps T.
        density: distribution of the arguments; None for a uniform one on the function's domain.

    Raises:
        ConfigError: N or T is out of range, or the function is not finite on the density.
    """
    check_size(bases, timesteps)
    target = target_of(function, density or uniform_density(*function.domain), mirrored=False)
    levels = 2**timesteps - 1
    best: _NestedRamps | None = None
    # With one segment more, the last ramp saturates where the flat end of an activation begins.
    for segments, chords in ((bases, False), (bases, True), (bases + 1, True)):
        start = best_partition(target, segments, levels, chords=chords)
        for direction in (1.0, -1.0):
            foot_first = np.sort(direction * start)[: bases + 1]
            ramps = _NestedRamps(target, foot_first, timesteps, direction)
            if best is None or ramps.error < best.error * (1.0 - MARGIN):
                best = ramps
    assert best is not None  # one of six candidates
    return best.neuron()


class _NestedRamps:
    """Ramps from a common foot, whose ends are optimized by coordinate descent.

    Attributes:
        ends: the foot, then the approximate upper end of each ramp, as values of direction * x, float64 [N + 1].
        error: weighted mean squared error with the best readout.
    """

    def __init__(self, target: Target, start: Float64, timesteps: int, direction: float) -> None:
        self.target, self.timesteps, self.direction = target, timesteps, direction
        self.grid = 2.0 ** (math.frexp(start[-1] - start[0])[1] - GRID_BITS)
        self.ends = np.round(start / self.grid) * self.grid
        self.ends[1:] = np.maximum(self.ends[1:], self.ends[0] + 4.0 * self.grid)
        self.features = np.ones((start.size + 1, target.points.size))  # rows: bias, ramps, target
        self.features[-1] = target.values
        self.products = np.zeros((start.size + 1, start.size + 1))
        self._update(range(start.size + 1))
        self.error = self._least_error()
        self._descend()

    def neuron(self) -> MbeNeuron:
        """The neuron with the best readout, rounded to a dyadic grid."""
        readout = _solution(_eliminated(self.products))
        weight, bias = readout[1:] / 2.0, float(readout[0])
        unit = 2.0 ** (math.frexp(2.0 * float(np.abs(weight).sum()) + abs(bias))[1] - READOUT_BITS)
        return halving_neuron(
            np.full(weight.size, self.direction * self.ends[0]),
            self.direction * 2.0 / (self.ends[1:] - self.ends[0]),
            np.round(weight / unit) * unit,
            np.round(bias / unit) * unit,
            self.timesteps,
        )

    def _descend(self) -> None:
        """Move single ends by smaller and smaller steps as long as that lowers the error."""
        step = FIRST_STEP
        while step > LAST_STEP:
            before = self.error
            for i in range(len(self.ends)):
                for sign in (1.0, -1.0):
                    self._move(i, sign * step)
            if self.error >= before * (1.0 - WORTHWHILE):
                step /= 2.0

    def _move(self, i: int, share: float) -> bool:
        """Move end i by `share` of the distance to the nearest one if that lowers the error; return whether it did."""
        ends, features, products = self.ends.copy(), self.features.copy(), self.products.copy()
        nearest = np.abs(np.delete(ends, i) - ends[i]).min()
        self.ends[i] = np.round((ends[i] + share * nearest) / self.grid) * self.grid
        if self.ends[i] != ends[i] and self.ends[1:].min() - self.ends[0] >= 4.0 * self.grid:
            self._update([i] if i else range(1, len(ends)))
            error = self._least_error()
            if error < self.error * (1.0 - MARGIN):
                self.error = error
                return True
        self.ends, self.features, self.products = ends, features, products
        return False

    def _update(self, rows: range | list[int]) -> None:
        """Recompute the features `rows` and their weighted products with all features."""
        levels = 2.0**self.timesteps
        for row in rows:
            if 0 < row < len(self.ends):
                reach = self.ends[row] - self.ends[0]
                level = np.floor((self.direction * self.target.points - self.ends[0]) * (levels / reach))
                self.features[row] = np.minimum(np.maximum(level, 0.0), levels - 1.0) / levels
        for row in rows:
            products = (self.features * (self.features[row] * self.target.weight)).sum(axis=1)
            self.products[row] = self.products[:, row] = products

    def _least_error(self) -> float:
        """Weighted mean squared error with the best readout."""
        return max(float(_eliminated(self.products)[-1, -1]), 0.0)


def _eliminated(products: Float64) -> Float64:
    """`products` [K, K] after Gaussian elimination; the last pivot is the squared residual of the last feature."""
    upper = products + RIDGE * np.eye(len(products))
    for i in range(len(upper) - 1):
        upper[i + 1 :, i:] -= (upper[i, i + 1 :] / upper[i, i])[:, None] * upper[i, i:]
    return upper


def _solution(upper: Float64) -> Float64:
    """Least-squares coefficients [K - 1] of the last feature in the others, by back substitution."""
    solution: Float64 = upper[:-1, -1].copy()
    for i in range(len(solution) - 1, -1, -1):
        solution[i] /= upper[i, i]
        solution[:i] -= upper[:i, i] * solution[i]
    return solution

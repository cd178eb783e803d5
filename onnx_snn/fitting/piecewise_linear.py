# SPDX-License-Identifier: Apache-2.0
"""Fit of a bank of bases with halving thresholds: the knots of its segments and its readout.

With knots K_0 < ... < K_N and M = 2**T - 1 levels in each segment, basis n encodes the clipped ramp

    q_n(x) = clip(floor((x - K_n) * M / (K_n+1 - K_n) + 1/2), 0, M) / M

and the bank is a piecewise-linear function, given by its values v_n at the knots:

    y(x) = v_0 + sum_n (v_n+1 - v_n) * q_n(x)

The 1/2 leaves a margin of half a level at both knots: at any x all bases but one are silent or saturated. A
point in segment n thus depends on v_n and v_n+1 only, so that the normal equations of the best values are
tridiagonal, and moving a knot changes the moments of two segments. Knots start from dynamic programming and are
optimized by coordinate descent.

No sum is computed by BLAS, knots and readout are rounded to dyadic grids, and errors are compared with a relative
margin, so that the result has the same bits on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import reduce

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.fitting.knot_search import Target, best_partition, error_of
from onnx_snn.fitting.segment_moments import Matrix, SegmentMoments
from onnx_snn.fitting.tridiagonal import NormalEquations
from onnx_snn.neurons.mbe import MbeNeuron, halving_neuron

FEW_LEVELS = 3
"""Number of levels that an additional start assumes, which makes segments short where the function is steep."""

GRID_BITS = 20
"""Bits of the knot grid: knots are multiples of the power of two next to range / 2**GRID_BITS."""

FIRST_STEP = 0.4
"""First step of a knot in coordinate descent, as a share of its shorter neighbouring segment."""

LAST_STEP = 0.003
"""Step at which coordinate descent ends, as a share of the shorter neighbouring segment."""

WORTHWHILE = 0.01
"""Relative decrease of the error by a sweep over all knots below which the step is halved."""

ROUGH_TIMESTEPS = 2
"""Largest T at which knots descend a second time with the rounding error at the actual points. Levels are then so wide
that the mass within a level is uneven. With more levels, this would overfit the points of the histogram."""

MARGIN = 1e-5
"""Relative difference below which errors count as equal, so that rounding noise has no effect."""

FLOAT32_BITS = 22
"""Levels are at least 2**-FLOAT32_BITS times the magnitude of their knots, so that the margin of half a level at a knot
exceeds the rounding of float32."""

READOUT_BITS = 22
"""Bits of weights and bias relative to their largest sum: finer than the error of any fit, coarser than rounding
noise."""

EXACT_FLOAT32_TIMESTEPS = 8
"""Largest T at which a coarser readout is tried, whose partial sums are exact even in float32."""

EXACT_FLOAT32_COST = 1.1
"""Largest factor in the squared error for which the coarser readout is taken. It is exceeded where massive activations
stretch the range."""


def fit_segments(
    target: Target, bases: int, timesteps: int, *, origin: float, polarity: int = 0, gate: bool = True
) -> MbeNeuron:
    """The neuron with N = `bases` and T = `timesteps` of least weighted error on `target`.

    Args:
        target: function and weights.
        bases: number of segments N.
        timesteps: bits T of each segment.
        origin: the most frequent argument. Bases run outward from the knot next to it, so that few spikes fall there.
        polarity: 1 to mirror the neuron to negative arguments.
        gate: whether saturated bases fire once instead of T times.
    """
    descent = place_knots(target, bases, timesteps)
    knots = np.array(descent.knots)
    centre = int(np.abs(knots - origin).argmin())
    rightward = np.arange(bases) >= centre
    level = np.diff(knots) / descent.levels
    u_rest = np.where(rightward, knots[:-1] - level / 2, knots[1:] + level / 2)
    gain = np.where(rightward, 1.0, -1.0) / (level * 2.0 ** (timesteps - 1))

    def read_out(bits: int) -> MbeNeuron:
        weight, bias = _dyadic_readout(descent.knot_values(), centre, timesteps, bits)
        return halving_neuron(u_rest, gain, weight, bias, timesteps, gate=gate, polarity=polarity)

    fine = read_out(READOUT_BITS)
    if timesteps > EXACT_FLOAT32_TIMESTEPS:
        return fine
    # A float32 sum has 24 bits, T - 1 of which hold the fraction of the accumulated intensities.
    exact = read_out(min(25 - timesteps, READOUT_BITS))
    return exact if error_of(exact, target) <= EXACT_FLOAT32_COST * error_of(fine, target) else fine


def place_knots(target: Target, bases: int, timesteps: int) -> Descent:
    """The best bank of N = `bases` segments that descent from several starts and relocations of knots find."""
    starts = ((2**timesteps - 1, False), (2**timesteps - 1, True), (FEW_LEVELS, True))
    moments = SegmentMoments(target, timesteps)
    best = _closest(
        Descent(moments, best_partition(target, bases, levels, chords=chords)).run() for levels, chords in starts
    )
    for _ in range(bases):
        relocated = best.relocated()
        if relocated.error >= best.error * (1.0 - WORTHWHILE):
            break
        best = relocated
    if timesteps <= ROUGH_TIMESTEPS:
        best = Descent(SegmentMoments(target, timesteps, rounding=True), np.array(best.knots)).run()
    return best


def _closest(banks: Iterable[Descent]) -> Descent:
    """The bank of least error; among equal ones, up to `MARGIN`, the first."""
    return reduce(lambda best, bank: bank if bank.error < best.error * (1.0 - MARGIN) else best, banks)


class Descent:
    """Coordinate descent of the knots of a bank, with the best readout at every step.

    Attributes:
        knots: positions of the N + 1 knots.
        levels: number of levels M of a segment, without level 0.
    """

    def __init__(self, moments_of: SegmentMoments, start: Float64) -> None:
        self.moments_of, self.target, self.levels = moments_of, moments_of.target, moments_of.levels
        self.grid = 2.0 ** (math.frexp(start[-1] - start[0])[1] - GRID_BITS)
        # A list, because single elements of it are faster than those of an array.
        self.knots: list[float] = (np.round(start / self.grid) * self.grid).tolist()
        for n in range(len(start) - 1):
            self.knots[n + 1] = max(self.knots[n + 1], self.knots[n] + self._shortest(n))
        moments = [self._segment_moments(n) for n in range(len(start) - 1)]
        self.equations = NormalEquations(moments, anchored=self.target.anchored)

    @property
    def error(self) -> float:
        """Weighted mean squared error with the best values at the knots."""
        return self.equations.error

    def knot_values(self) -> Float64:
        """The best values at the knots, float64 [N + 1]."""
        return self.moments_of.references(self.knots, first=True) + self.equations.solution()

    def run(self) -> Descent:
        """Move knots by smaller and smaller steps as long as that lowers the error; return the bank itself."""
        step = FIRST_STEP
        while step > LAST_STEP:
            before = self.error
            for i in range(len(self.knots)):
                for sign in (1.0, -1.0):
                    self._move(i, sign * step)
            if self.error >= before * (1.0 - WORTHWHILE):
                step /= 2.0
        return self

    def relocated(self) -> Descent:
        """The bank after moving the least useful knot into the middle of the segment of largest error, and descent.

        A single step never moves a knot past another one, so descent alone cannot do this.
        """
        solution, moments = self.equations.solution(), self.equations.moments
        residual = np.stack([-solution[:-1], -solution[1:], np.ones(len(moments))], axis=1)
        errors = (residual[:, :, None] * np.array(moments) * residual[:, None, :]).sum(axis=(1, 2))
        # In float32, so that mirrored segments of a symmetric function have equal errors.
        worst = int(errors.astype(np.float32).argmax())
        middle = (self.knots[worst] + self.knots[worst + 1]) / 2.0
        inner = range(1, len(moments))
        starts = [np.sort([*self.knots[:i], *self.knots[i + 1 :], middle]) for i in inner] or [np.array(self.knots)]
        return _closest(Descent(self.moments_of, start) for start in starts).run()

    def _move(self, i: int, share: float) -> None:
        """Move knot i by `share` of its shorter neighbouring segment if that lowers the error."""
        touched = range(max(i - 1, 0), min(i + 1, len(self.knots) - 1))
        knot = self.knots[i]
        shorter = min(self.knots[n + 1] - self.knots[n] for n in touched)
        self.knots[i] = round((knot + share * shorter) / self.grid) * self.grid
        if self.knots[i] != knot and self._allowed(touched):
            moments = [self._segment_moments(n) for n in touched]
            error = self.equations.error_with(moments, touched.start)
            if error < self.error * (1.0 - MARGIN):
                self.equations.replace(moments, touched.start, error)
                return
        self.knots[i] = knot

    def _allowed(self, touched: range) -> bool:
        """Whether the knots meet the constraints of the target and the segments `touched` are long enough."""
        if self.target.anchored and self.knots[0] < 0.0:
            return False
        if self.target.reach is not None and self.knots[-1] < self.target.reach:
            return False
        return all(self.knots[n + 1] - self.knots[n] >= self._shortest(n) for n in touched)

    def _shortest(self, n: int) -> float:
        """Least length of segment n at which float32 distinguishes its levels."""
        farther = max(abs(self.knots[n]), abs(self.knots[n + 1]))
        return max(4.0 * self.grid, self.levels * 2.0**-FLOAT32_BITS * farther)

    def _segment_moments(self, n: int) -> Matrix:
        return self.moments_of(self.knots[n], self.knots[n + 1], first=n == 0, last=n + 2 == len(self.knots))


def _dyadic_readout(values: Float64, centre: int, timesteps: int, bits: int) -> tuple[Float64, float]:
    """Weights [N] and bias for `values` [N + 1] at the knots, rounded to `bits` bits relative to their largest sum.

    Bases to the left of the knot `centre` run leftward. Weights are rounded from the centre outward, and each one
    compensates the rounding errors of those before it.
    """
    saturated = 2.0 - 2.0 ** (1 - timesteps)
    # The factor leaves room for weights that are rounded up.
    largest = 1.001 * float(np.abs(np.diff(values)).sum() + abs(values[centre]))
    unit = 2.0 ** (math.frexp(largest)[1] - bits)
    bias = float(np.round(values[centre] / unit) * unit)
    weight = np.zeros(len(values) - 1)
    for outward, far in ((range(centre, len(weight)), 1), (range(centre - 1, -1, -1), 0)):
        reached = bias
        for n in outward:
            weight[n] = np.round((values[n + far] - reached) / saturated / unit) * unit
            reached += weight[n] * saturated
    return weight, bias

# SPDX-License-Identifier: Apache-2.0
"""Fitting a bank of bases with halving kernels: where its segments lie and how they are read out.

With knots K_0 < ... < K_N and M = 2**T - 1 levels in each segment, basis n encodes the clipped ramp

    q_n(x) = clip(floor((x - K_n) * M / (K_n+1 - K_n) + 1/2), 0, M) / M

and the bank is a piecewise-linear function, given by its values v_n at the knots:

    y(x) = v_0 + sum_n (v_n+1 - v_n) * q_n(x)

The 1/2 leaves a margin of half a level at either knot: at any x all bases but one are silent or saturated. A
point in segment n thus depends on v_n and v_n+1 only, so that the normal equations of the best values are
tridiagonal, and moving a knot changes the moments of two segments. Knots start from dynamic programming and
descend from there.

No sum here is taken by BLAS, knots lie on a dyadic grid, an error is smaller only if it is so by a relative
margin, and the readout is rounded to a dyadic grid: every machine finds the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from onnx_snn.fitting.knot_search import Target, best_partition, error_of
from onnx_snn.fitting.segment_moments import Matrix, SegmentMoments
from onnx_snn.fitting.tridiagonal import eliminate
from onnx_snn.neurons.mbe import MbeNeuron, halving_neuron

Float64 = NDArray[np.float64]

FEW_LEVELS = 3
"""Levels of an additional start, whose segments are short where the function is steep."""

GRID_BITS = 20
"""Knots are multiples of the power of two next to range / 2**GRID_BITS."""

FIRST_STEP, LAST_STEP = 0.4, 0.003
"""Knot moves, from first to last, as a share of the shorter neighbouring segment."""

WORTHWHILE = 0.01
"""Share of the error that a sweep over all knots must save for another one with steps of the same size."""

ROUGH_TIMESTEPS = 2
"""Most time steps with which levels are so wide that mass is not even over them, and knots descend a second time, with
the error of rounding as it falls on the points. With more levels that can be fitted away: levels lock on to the
points."""

MARGIN = 1e-5
"""An error counts as smaller when it is so by this share: rounding noise decides nothing."""

FLOAT32_BITS = 22
"""No level is finer than this many bits of its position: the margin at a knot outlasts float32's rounding."""

READOUT_BITS = 22
"""Bits of the readout below its largest sum: finer than any error of a fit, coarser than rounding noise."""

EXACT_FLOAT32_TIMESTEPS = 8
"""Most time steps with which the readout may be coarse enough for partial sums that are exact in float32 too."""

EXACT_FLOAT32_COST = 1.1
"""Factor in the squared error that a readout exact in float32 may cost; massive activations, which stretch the range,
cost more."""


def fit_segments(
    target: Target, bases: int, timesteps: int, *, origin: float, polarity: int = 0, gate: bool = True
) -> MbeNeuron:
    """The neuron that comes closest to `target`, its bases growing outward from the knot next to `origin`."""
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
    # A sum has 24 bits in float32, of which T - 1 go to the fractions of what a basis accumulates.
    exact = read_out(min(25 - timesteps, READOUT_BITS))
    return exact if error_of(exact, target) <= EXACT_FLOAT32_COST * error_of(fine, target) else fine


def place_knots(target: Target, bases: int, timesteps: int) -> Descent:
    """The bank of N = `bases` segments with the least error that several starts and relocations find."""
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
    """The first bank that no later one betters by the margin."""
    return reduce(lambda best, bank: bank if bank.error < best.error * (1.0 - MARGIN) else best, banks)


class Descent:
    """A bank whose knots move, one at a time, as long as that lowers the error of the best readout.

    Attributes:
        knots: N + 1 positions.
        levels: M, above zero in each segment.
    """

    def __init__(self, moments_of: SegmentMoments, start: Float64) -> None:
        self.moments_of, self.target, self.levels = moments_of, moments_of.target, moments_of.levels
        self.grid = 2.0 ** (math.frexp(start[-1] - start[0])[1] - GRID_BITS)
        # Lists, because Python's floats are faster than arrays where they are met one at a time.
        self.knots: list[float] = (np.round(start / self.grid) * self.grid).tolist()
        for n in range(len(start) - 1):
            self.knots[n + 1] = max(self.knots[n + 1], self.knots[n] + self._shortest(n))
        self.moments = [self._segment_moments(n) for n in range(len(start) - 1)]
        self.elimination = eliminate(self.moments, anchored=self.target.anchored)

    @property
    def error(self) -> float:
        """Weighted mean of the squared error, with the best values at the knots."""
        return self.elimination.error

    def knot_values(self) -> Float64:
        """The best values at the knots, float64 [N + 1]."""
        return self.moments_of.references(self.knots, first=True) + self.elimination.solution()

    def run(self) -> Descent:
        """Move the knots until steps of the smallest size hardly help; the bank itself."""
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
        """The bank after its least needed knot has gone into the middle of the worst segment, and descent.

        Moves of single knots never pass another knot, so that descent alone cannot do this.
        """
        solution = self.elimination.solution()
        left = np.stack([-solution[:-1], -solution[1:], np.ones(len(self.moments))], axis=1)
        errors = (left[:, :, None] * np.array(self.moments) * left[:, None, :]).sum(axis=(1, 2))
        # In float32, so that mirrored segments of a symmetric function stay equal.
        worst = int(errors.astype(np.float32).argmax())
        middle = (self.knots[worst] + self.knots[worst + 1]) / 2.0
        inner = range(1, len(self.moments))
        starts = [np.sort([*self.knots[:i], *self.knots[i + 1 :], middle]) for i in inner] or [np.array(self.knots)]
        return _closest(Descent(self.moments_of, start) for start in starts).run()

    def _move(self, i: int, share: float) -> None:
        """Move knot i by `share` of its shorter neighbouring segment if that lowers the error."""
        touched = range(max(i - 1, 0), min(i + 1, len(self.moments)))
        knot, moments = self.knots[i], self.moments[touched.start : touched.stop]
        shorter = min(self.knots[n + 1] - self.knots[n] for n in touched)
        self.knots[i] = round((knot + share * shorter) / self.grid) * self.grid
        if self.knots[i] != knot and self._allowed(touched):
            for n in touched:
                self.moments[n] = self._segment_moments(n)
            moved = self.elimination.resumed(self.moments, touched.start)
            if moved.error < self.error * (1.0 - MARGIN):
                self.elimination = moved
                return
            self.moments[touched.start : touched.stop] = moments
        self.knots[i] = knot

    def _allowed(self, touched: range) -> bool:
        if self.target.anchored and self.knots[0] < 0.0:
            return False
        if self.target.reach is not None and self.knots[-1] < self.target.reach:
            return False
        return all(self.knots[n + 1] - self.knots[n] >= self._shortest(n) for n in touched)

    def _shortest(self, n: int) -> float:
        """Length that segment n must have for its levels to be apart in float32."""
        farther = max(abs(self.knots[n]), abs(self.knots[n + 1]))
        return max(4.0 * self.grid, self.levels * 2.0**-FLOAT32_BITS * farther)

    def _segment_moments(self, n: int) -> Matrix:
        return self.moments_of(self.knots[n], self.knots[n + 1], first=n == 0, last=n + 2 == len(self.knots))


def _dyadic_readout(values: Float64, centre: int, timesteps: int, bits: int) -> tuple[Float64, float]:
    """Weights [N] and bias for `values` [N + 1] at the knots, rounded to `bits` below their largest sum.

    Bases to the left of the knot `centre` run leftward. Rounding goes outward, each weight making up for what
    those before it left.
    """
    saturated = 2.0 - 2.0 ** (1 - timesteps)
    # The thousandth leaves room for the weights that rounding makes larger.
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

# SPDX-License-Identifier: Apache-2.0
"""Fitting a bank of bases with halving kernels: where its segments lie and how they are read out.

With knots K_0 < ... < K_N and M = 2**T - 1 levels in each segment, basis n encodes the clipped ramp

    q_n(x) = clip(floor((x - K_n) * M / (K_n+1 - K_n) + 1/2), 0, M) / M

and the bank is a continuous piecewise-linear function of the q_n, given by its values v_n at the knots:

    y(x) = v_0 + sum_n (v_n+1 - v_n) * q_n(x)

The 1/2 is a margin of half a level at either knot: at any x all bases but one are silent or saturated. A point x of
segment n thus depends on v_n and v_n+1 only, so that the normal equations of the best values are tridiagonal, and
moving a knot changes the moments of two segments. The knots start from dynamic programming and descend from there.

Every sum here is taken in an order of its own, without BLAS; knots lie on a dyadic grid, ties are broken by relative
margins and the readout is rounded to a dyadic grid: every machine finds the same bits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.neuron import MbeNeuron, closed_form, halving_neuron

Float64 = NDArray[np.float64]

CANDIDATES = 160
"""Knot positions that dynamic programming chooses from; descent refines its choice."""

COARSE_LEVELS = 15
"""Levels of an additional start: a coarser code prefers shorter segments where the function is steep."""

GRID_BITS = 20
"""Knots are multiples of the power of two next to range / 2**GRID_BITS."""

FIRST_STEP, LAST_STEP = 0.4, 0.003
"""Knot moves, from first to last, as a share of the shorter neighbouring segment."""

MAX_SWEEPS = 24
"""Sweeps of the descent over all knots; most stop after about half of them."""

MARGIN = 1e-5
"""An error counts as smaller when it is so by this share: rounding noise decides nothing."""

RIDGE = 1e-13
"""Share of the whole mass that holds the value at a knot without data on the function itself."""

FLOAT32_BITS = 22
"""No level of a basis is finer than this many bits of its position, which leaves float32 a margin of two bits."""

EXACT_FLOAT32_COST = 1.1
"""Squared error that a readout may add, as a factor, for partial sums that are exact in float32."""


class Target(NamedTuple):
    """What a bank is fitted to.

    Attributes:
        points: float64 [M], sorted.
        values: float64 [M], the function there.
        weight: float64 [M], how much the squared error counts there; sum 1.
        anchored: the first knot answers exactly 0, for odd functions and identity codes; then it lies at x >= 0.
        reach: where the last knot must stay, or None when it is free.
    """

    points: Float64
    values: Float64
    weight: Float64
    anchored: bool = False
    reach: float | None = None


def fit_segments(
    target: Target, bases: int, timesteps: int, *, origin: float, polarity: int = 0, gate: bool = True
) -> MbeNeuron:
    """The neuron with halving kernels that comes closest to `target`, its bases growing outward from `origin`."""
    knots = place_knots(target, bases, timesteps)
    values = Descent(target, knots, timesteps).knot_values()
    exact_float32, finer = (
        _read_out(knots, values, timesteps, bits, origin=origin, polarity=polarity, gate=gate)
        for bits in (min(25 - timesteps, 22), 22)
    )
    if timesteps <= 8 and error_of(exact_float32, target) <= EXACT_FLOAT32_COST * error_of(finer, target):
        return exact_float32
    return finer


def error_of(neuron: MbeNeuron, target: Target) -> float:
    """Weighted mean of the squared error of `neuron` on `target`."""
    x = target.points.astype(np.float32)
    return float((target.weight * (closed_form(neuron, x).y - target.values) ** 2).sum())


def place_knots(target: Target, bases: int, timesteps: int) -> Float64:
    """Knots float64 [N + 1] of a bank with N = `bases`, from several starts."""
    levels = 2**timesteps - 1
    starts = [_best_partition(target, bases, levels, chords) for chords in (False, True)]
    if timesteps > 6:
        starts.append(_best_partition(target, bases, COARSE_LEVELS, True))
    if timesteps > 8:
        starts.append(place_knots(target, bases, 8))
    best: Descent | None = None
    for start in starts:
        descent = Descent(target, start, timesteps)
        descent.run()
        if best is None or descent.error < best.error * (1.0 - MARGIN):
            best = descent
    assert best is not None
    return best.knots


# Dynamic programming ---------------------------------------------------------------------------------------------


def _best_partition(target: Target, bases: int, levels: int, chords: bool) -> Float64:
    """Knots [N + 1] that minimise the summed error of N = `bases` separate segments.

    A segment's error is that of its chord (or of its least-squares line) and of rounding to `levels`.
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
    """Knot positions, denser where a segment must be short: where the function bends, where it is steep, where data
    is. The exponents are those of the best density of knots of a piecewise-linear and of a stepwise function."""
    points, mass = target.points, target.weight
    cell = np.gradient(points)
    slope = np.gradient(target.values, points)
    bend = np.gradient(slope, points)
    density = mass / cell
    shares = [
        (density * bend**2) ** (1 / 5) * cell,
        (density * slope**2) ** (1 / 3) * cell,
        np.full(points.size, 0.3 / points.size),
    ]
    share = sum(
        each / max(each.sum(), 1e-300) * weight for each, weight in zip(shares, (1.0, 1.0, 0.3), strict=True)
    )
    # On a grid, because symmetric functions put their middle candidate on a tie.
    cumulated = np.round(np.cumsum(share) / np.sum(share) * 2.0**30)
    where = np.searchsorted(cumulated, np.linspace(0.0, 2.0**30, CANDIDATES + 1)[1:-1])
    first = 0.0 if target.anchored else points[0]
    last = points[-1] if target.reach is None else target.reach
    return np.unique(np.concatenate([[first], points[where], [last]]).clip(first, last))


@np.errstate(divide="ignore", invalid="ignore")
def _segment_costs(target: Target, positions: Float64, levels: int, chords: bool) -> Float64:
    """Error of a segment from candidate i to candidate j, [C, C], infinite unless i < j."""
    x, y, w = target.points, target.values, target.weight
    index = np.searchsorted(x, positions)
    index[-1] = x.size

    def between(weighted: Float64) -> Float64:
        cumulated = np.concatenate([[0.0], np.cumsum(weighted)])[index]
        return cumulated[None, :] - cumulated[:, None]

    mass, mx, my, mxx, mxy, myy = (
        between(moment) for moment in (w, w * x, w * y, w * x * x, w * x * y, w * y * y)
    )
    length = positions[None, :] - positions[:, None]
    if chords:
        values = np.interp(positions, x, y)
        slope = (values[None, :] - values[:, None]) / length
        level = values[:, None] - slope * positions[:, None]
        misfit = (
            myy - 2 * slope * mxy - 2 * level * my + slope**2 * mxx + 2 * slope * level * mx + level**2 * mass
        )
    else:
        # A segment without mass has no line; the tiny mass gives it slope 0 and no cost.
        mass = np.maximum(mass, 1e-300)
        covariance, variance = mxy - mx * my / mass, np.maximum(mxx - mx**2 / mass, 1e-18 * mass)
        slope = covariance / variance
        misfit = myy - my**2 / mass - covariance * slope
    cost = np.maximum(misfit, 0.0) + (slope * length / levels) ** 2 / 12.0 * mass
    # In float32, so that partitions that are equal by symmetry stay equal whatever order they are summed in.
    cost = cost.astype(np.float32).astype(np.float64)
    return np.where(length > 0.0, cost, np.inf)


# Descent ---------------------------------------------------------------------------------------------------------


class Descent:
    """Knots of a bank, moved one at a time while that lowers the error of the best readout.

    Attributes:
        knots: float64 [N + 1].
        error: weighted mean of the squared error, with the best values at the knots.
    """

    def __init__(self, target: Target, knots: Float64, timesteps: int) -> None:
        self.target = target
        self.levels = float(2**timesteps - 1)
        self.grid = 2.0 ** (math.frexp(float(knots[-1] - knots[0]))[1] - GRID_BITS)
        self.knots = self._separated(np.round(knots / self.grid) * self.grid)
        self.moments = np.stack([self._segment_moments(n) for n in range(len(knots) - 1)])
        self.error = _Elimination(self.moments, target.anchored).error

    def run(self) -> None:
        """Descend until the smallest step helps no more."""
        step = FIRST_STEP
        for _ in range(MAX_SWEEPS):
            moved = [self._move(i, sign * step) for i in range(len(self.knots)) for sign in (1.0, -1.0)]
            step *= 1.0 if any(moved) else 0.5
            if step < LAST_STEP:
                break

    def knot_values(self) -> Float64:
        """The best values at the knots, float64 [N + 1]."""
        differences = _Elimination(self.moments, self.target.anchored).solution()
        return self._references(0, len(self.knots)) + differences

    def _move(self, i: int, share: float) -> bool:
        """Move knot i by `share` of its shorter neighbouring segment if that lowers the error."""
        touched = range(max(i - 1, 0), min(i + 1, len(self.moments)))
        knots, moments = self.knots.copy(), self.moments.copy()
        shorter = min(knots[n + 1] - knots[n] for n in touched)
        self.knots[i] = np.round((knots[i] + share * shorter) / self.grid) * self.grid
        if self.knots[i] != knots[i] and self._allowed(touched):
            for n in touched:
                self.moments[n] = self._segment_moments(n)
            error = _Elimination(self.moments, self.target.anchored).error
            if error < self.error * (1.0 - MARGIN):
                self.error = error
                return True
        self.knots, self.moments = knots, moments
        return False

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

    def _separated(self, knots: Float64) -> Float64:
        self.knots = knots
        for n in range(len(knots) - 1):
            knots[n + 1] = max(knots[n + 1], knots[n] + self._shortest(n))
        return knots

    def _references(self, first: int, last: int) -> Float64:
        """The function at knots `first` to `last` - 1, about: solving for differences to it keeps these exact."""
        values = np.interp(self.knots[first:last], self.target.points, self.target.values)
        if first == 0 and self.target.anchored:
            values[0] = 0.0
        return values

    def _segment_moments(self, n: int) -> Float64:
        """Weighted sums, over the points of segment n, of the products of (1 - q, q, residual): float64 [3, 3]."""
        points, knots = self.target.points, self.knots[n : n + 2]
        start, stop = points.searchsorted(knots)
        inside = slice(start if n else 0, stop if n + 2 < len(self.knots) else None)
        q = np.floor((points[inside] - knots[0]) * (self.levels / (knots[1] - knots[0])) + 0.5)
        q = np.minimum(np.maximum(q, 0.0), self.levels) / self.levels
        left, right = self._references(n, n + 2)
        features = np.empty((3, q.size))
        features[0] = 1.0 - q
        features[1] = q
        features[2] = self.target.values[inside] - left * features[0] - right * q
        moments: Float64 = ((features * self.target.weight[inside])[:, None] * features).sum(axis=-1)
        return moments


class _Elimination:
    """Gaussian elimination of the tridiagonal normal equations of the values at the knots.

    Attributes:
        error: what the best values leave of the squared residual.
    """

    def __init__(self, moments: Float64, anchored: bool) -> None:
        diagonal, aim = np.full(len(moments) + 1, RIDGE), np.zeros(len(moments) + 1)
        diagonal[:-1] += moments[:, 0, 0]
        diagonal[1:] += moments[:, 1, 1]
        aim[:-1] += moments[:, 0, 2]
        aim[1:] += moments[:, 1, 2]
        coupling = moments[:, 0, 1].copy()
        if anchored:
            aim[0] = coupling[0] = 0.0
        self.coupling: list[float] = coupling.tolist()
        self.pivots, self.carried = [float(diagonal[0])], [float(aim[0])]
        for own, across, wanted in zip(diagonal[1:].tolist(), self.coupling, aim[1:].tolist(), strict=True):
            ratio = across / self.pivots[-1]
            self.pivots.append(own - ratio * across)
            self.carried.append(wanted - ratio * self.carried[-1])
        explained = sum(
            carried * carried / pivot for carried, pivot in zip(self.carried, self.pivots, strict=True)
        )
        self.error = max(float(moments[:, 2, 2].sum()) - explained, 0.0)

    def solution(self) -> Float64:
        """Differences [N + 1] of the best values to the references."""
        solution = [self.carried[-1] / self.pivots[-1]]
        for carried, pivot, across in zip(
            self.carried[-2::-1], self.pivots[-2::-1], self.coupling[::-1], strict=True
        ):
            solution.append((carried - across * solution[-1]) / pivot)
        return np.array(solution[::-1])


# Readout ---------------------------------------------------------------------------------------------------------


def _read_out(
    knots: Float64,
    values: Float64,
    timesteps: int,
    bits: int,
    *,
    origin: float,
    polarity: int = 0,
    gate: bool = True,
) -> MbeNeuron:
    """The neuron with `values` [N + 1] at `knots` [N + 1], its weights rounded to `bits` below the largest sum.

    Bases left of the knot next to `origin` run leftward, so that all are silent there and `bias` is the value.
    """
    centre = int(np.abs(knots - origin).argmin())
    rightward = np.arange(len(knots) - 1) >= centre
    level = np.diff(knots) / (2**timesteps - 1)
    theta = np.where(rightward, knots[:-1] - level / 2, knots[1:] + level / 2)
    gain = np.where(rightward, 1.0, -1.0) / (level * 2.0 ** (timesteps - 1))
    weight, bias = _dyadic_weights(values, centre, timesteps, bits)
    return halving_neuron(theta, gain, weight, bias, timesteps, gate=gate, polarity=polarity)


def _dyadic_weights(values: Float64, centre: int, timesteps: int, bits: int) -> tuple[Float64, float]:
    """Weights [N] and bias whose partial sums lie on a grid `bits` bits below the largest sum.

    Rounding goes outward from `centre`, each weight making up for what those before it left.
    """
    saturated = 2.0 - 2.0 ** (1 - timesteps)
    # The thousandth leaves room for the weights that rounding makes larger.
    largest = 1.001 * (np.abs(np.diff(values)).sum() + abs(values[centre]))
    unit = 2.0 ** (math.frexp(float(largest))[1] - bits)
    finest = unit * 2.0 ** (1 - timesteps)
    bias = (
        float(np.round(values[centre] / finest) * finest)
        if bits + timesteps <= 25
        else float(np.round(values[centre] / unit) * unit)
    )
    weight = np.zeros(len(values) - 1)
    for outward in (range(centre, len(weight)), range(centre - 1, -1, -1)):
        reached = bias
        for n in outward:
            wanted = values[n + 1] if n >= centre else values[n]
            weight[n] = np.round((wanted - reached) / saturated / unit) * unit
            reached += weight[n] * saturated
    return weight, bias

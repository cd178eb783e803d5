# SPDX-License-Identifier: Apache-2.0
"""Identity codes: neurons that answer what they see, fine near zero and coarse far out, like a float.

A code has N segments on the magnitude; `polarity` 1 mirrors them for signed signals, so each sign has N.
There are two kinds, and `fit_identity` takes the one with the smaller error:

- **power of two**: level sizes L_n = 2**p_n, p ascending, knots K_n+1 = K_n + (2**T - 1) * L_n and weights
  2**(T-1) * L_n, so that every answer is an integer multiple of L_0 and a product of codes is an integer sum;
- **fitted**: knots and readout as for any function, which pays while levels are few.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from onnx_snn.errors import ConfigError
from onnx_snn.fitting.density import Density, calibrated_density, check_density
from onnx_snn.fitting.knot_search import Target, check_size, error_of
from onnx_snn.fitting.piecewise_linear import fit_segments
from onnx_snn.neurons.mbe import MbeNeuron, halving_neuron

Float64 = NDArray[np.float64]

FITTED_TIMESTEPS = 7
"""Up to here the fitted code is tried; with more levels its grids, not its freedom, decide the error."""

OCTAVES = 24
"""Octaves between the finest and the coarsest level size that the search considers."""

FLOAT32_BITS = 24
"""Integers up to 2**24 are exact in float32, which bounds limit / L_0 for T <= 8."""

CELLS = 32
"""Cells a segment in which the search keeps one code. With 8, codes that just reach the limit got lost."""


def fit_identity(
    density: Density,
    bases: int,
    timesteps: int,
    *,
    limit: float,
    one_sided: bool = False,
    gate: bool = True,
) -> MbeNeuron:
    """The code with N = `bases` segments on [0, `limit`] that loses least of a signal.

    Args:
        density: of the signal's magnitude; points are >= 0, and those beyond `limit` count as `limit`.
        bases: number of segments N, on either sign.
        timesteps: bits T of each segment.
        limit: the largest magnitude that the code must reach.
        one_sided: the signal is never negative; negative input answers 0.
        gate: whether saturated bases fire once instead of T times.

    Raises:
        ConfigError: N, T or `limit` is out of range, or the density is none of magnitudes.
    """
    check_size(bases, timesteps)
    if not (math.isfinite(limit) and limit > 0.0):
        raise ConfigError(f"limit is {limit}; expected a positive, finite magnitude")
    check_density(density)
    if density.points[0] < 0.0:
        raise ConfigError(f"the density holds {density.points[0]}; expected magnitudes")
    points, mass = calibrated_density(density.points, density.mass, 0.0, limit)
    target = Target(points, points, mass, anchored=True, reach=limit)
    polarity = 0 if one_sided else 1
    level = np.ldexp(1.0, _best_exponents(target, bases, timesteps))
    code = code_of_levels(level, timesteps, polarity=polarity, gate=gate)
    if timesteps <= FITTED_TIMESTEPS:
        fitted = fit_segments(target, bases, timesteps, origin=0.0, polarity=polarity, gate=gate)
        if error_of(fitted, target) < error_of(code, target):
            return fitted
    return code


def code_of_levels(level: Float64, timesteps: int, *, polarity: int, gate: bool) -> MbeNeuron:
    """The code whose segments have levels of the sizes `level` [N], ascending; `polarity` 1 mirrors it."""
    knots = np.concatenate([[0.0], np.cumsum(level * (2.0**timesteps - 1.0))])
    scale = 2.0 ** (timesteps - 1)
    return halving_neuron(
        knots[:-1] - level / 2,
        1.0 / (level * scale),
        level * scale,
        0.0,
        timesteps,
        gate=gate,
        polarity=polarity,
    )


def _best_exponents(target: Target, bases: int, timesteps: int) -> NDArray[np.int64]:
    """Ascending exponents p [N] of the level sizes of the best code that reaches the limit.

    Dynamic programming over p. A state is the number of segments used and the cell in which they end. Its
    cost is the error if all that lies beyond were coded with the present level size: another segment of that
    size costs nothing, and a step to the next p costs what lies beyond. A segment is CELLS cells long at its
    own p; cells then unite in pairs, and of the states in a cell the cheapest survives.
    """
    assert target.reach is not None
    length = 2.0**timesteps - 1.0
    coarsest = _ceil_log2(target.reach / length)
    finest = coarsest - OCTAVES
    if timesteps <= 8:
        finest = max(finest, _ceil_log2(target.reach) + 1 - FLOAT32_BITS)
    beyond, power = 1.0 - np.cumsum(target.weight), np.cumsum(target.weight * target.points**2)
    cost = np.full((bases + 1, (bases + 1) * CELLS), np.inf)
    end = np.zeros(cost.shape)
    used = np.zeros((*cost.shape, coarsest - finest + 1), np.int8)
    least, winner = np.inf, used[0, 0]
    for row, exponent in enumerate(range(finest, coarsest + 1)):
        level = math.ldexp(1.0, exponent)
        noise = level * level / 12.0
        if row:
            cost += 0.75 * noise * np.interp(end, target.points, beyond)  # a quarter was paid at half the size
            cost, end, used = _united(cost, end, used)
        # Before the first segment: what is below half a level is lost whole.
        lost, coded = (np.interp(level / 2.0, target.points, moment) for moment in (power, beyond))
        cost[0, 0] = lost + noise * coded
        for n in range(bases):
            cell = np.flatnonzero(cost[n, :-CELLS] < cost[n + 1, CELLS:])
            cost[n + 1, cell + CELLS] = cost[n, cell]
            end[n + 1, cell + CELLS] = end[n, cell] + length * level
            used[n + 1, cell + CELLS] = used[n, cell]
            used[n + 1, cell + CELLS, row] += 1
        complete = np.where(end[bases] >= target.reach, cost[bases], np.inf)
        if complete.min() < least:
            least, winner = complete.min(), used[bases, complete.argmin()].copy()
    return np.repeat(np.arange(finest, coarsest + 1), winner)


def _ceil_log2(value: float) -> int:
    """The least p with 2**p >= `value`; a logarithm would round to an integer what is just above it."""
    mantissa, exponent = math.frexp(value)
    return exponent - 1 if mantissa == 0.5 else exponent


def _united(cost: Float64, end: Float64, used: NDArray[np.int8]) -> tuple[Float64, Float64, NDArray[np.int8]]:
    """The states in cells of twice the size: of each pair the cheaper one."""
    bases, cells = cost.shape
    pairs = cost.reshape(bases, cells // 2, 2)
    row, pair = np.ogrid[:bases, : cells // 2]
    cell = 2 * pair + pairs.argmin(axis=2)
    cheaper = np.full_like(cost, np.inf), np.zeros_like(end), np.zeros_like(used)
    cheaper[0][:, : cells // 2] = cost[row, cell]
    cheaper[1][:, : cells // 2] = end[row, cell]
    cheaper[2][:, : cells // 2] = used[row, cell]
    return cheaper

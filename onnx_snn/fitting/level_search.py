# SPDX-License-Identifier: Apache-2.0
"""The best level sizes of an identity code, by dynamic programming.

A code has N segments of M = 2**T - 1 levels each, whose sizes L_n = 2**p_n ascend: segment n reaches from K_n to
K_n+1 = K_n + M * L_n, K_0 = 0. Values below L_0 / 2 are coded as 0; above, the rounding error is uniform in a level:

    E = lost(L_0 / 2)  +  sum_n L_n**2 / 12 * (A(K_n) - A(K_n+1)),   but A(L_0 / 2) in place of A(K_0)

where lost(h) is the part of the signal's power below h, and A(x) the share of the signal above x. For a code that
reaches the limit, above which A is 0, the sum equals

    L_0**2 / 12 * A(L_0 / 2)  +  sum_n>0 (L_n**2 - L_n-1**2) / 12 * A(K_n)

so that a cost arises only where the level size changes. A state holds the number n of segments used, the exponent p
and the end K of the last segment:

    cost(0, p, 0) = lost(2**p / 2) + 4**p / 12 * A(2**p / 2)
    cost(n, p, K) = min of   cost(n - 1, p, K - M * 2**p)                      one more segment of this size
                             cost(n, p - 1, K) + 3/4 * 4**p / 12 * A(K)        from here on levels of twice the size

and the best code is the cheapest state with n = N and K >= limit. The ends K are quantized to cells; a segment of the
current level size is CELLS cells long.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float64
from onnx_snn.fitting.knot_search import Target

OCTAVES = 24
"""Range of level sizes that the search covers below the coarsest one, in octaves."""

FLOAT32_BITS = 24
"""Bits of the significand of a float32. Integers up to 2**24 are exact, which bounds limit / L_0 for T <= 8."""

CELLS = 32
"""Number of cells in a segment; the search keeps one state for each cell. With 8 it misses codes that just reach the
limit."""


def best_exponents(target: Target, bases: int, timesteps: int) -> NDArray[np.int64]:
    """Exponents p_n of the level sizes of the best code that reaches the limit, int64 [N], ascending.

    The search goes through the exponents from the finest to the coarsest. The states of one exponent are arrays over n
    and the cell of K. From one exponent to the next, pairs of cells are merged, and the cheapest state of a cell is
    kept.

    Args:
        target: magnitudes and their weights; its `reach` is the limit.
        bases: number of segments N.
        timesteps: bits T of each segment.
    """
    assert target.reach is not None
    length = 2.0**timesteps - 1.0
    coarsest = _ceil_log2(target.reach / length)
    finest = coarsest - OCTAVES
    if timesteps <= 8:
        finest = max(finest, _ceil_log2(target.reach) + 1 - FLOAT32_BITS)
    above, power = 1.0 - np.cumsum(target.weight), np.cumsum(target.weight * target.points**2)
    cost = np.full((bases + 1, (bases + 1) * CELLS), np.inf)
    end = np.zeros(cost.shape)
    used = np.zeros((*cost.shape, coarsest - finest + 1), np.int8)
    least, best = np.inf, used[0, 0]
    for row, exponent in enumerate(range(finest, coarsest + 1)):
        level = math.ldexp(1.0, exponent)
        noise = level * level / 12.0
        if row:
            cost += (
                0.75 * noise * np.interp(end, target.points, above)
            )  # 1/4 of the noise is in the cost at half the size
            cost, end, used = _merged(cost, end, used)
        # State without a segment: values below half a level are coded as 0.
        lost, coded = (np.interp(level / 2.0, target.points, moment) for moment in (power, above))
        cost[0, 0] = lost + noise * coded
        for n in range(bases):
            cell = np.flatnonzero(cost[n, :-CELLS] < cost[n + 1, CELLS:])
            cost[n + 1, cell + CELLS] = cost[n, cell]
            end[n + 1, cell + CELLS] = end[n, cell] + length * level
            used[n + 1, cell + CELLS] = used[n, cell]
            used[n + 1, cell + CELLS, row] += 1
        complete = np.where(end[bases] >= target.reach, cost[bases], np.inf)
        if complete.min() < least:
            least, best = complete.min(), used[bases, complete.argmin()].copy()
    return np.repeat(np.arange(finest, coarsest + 1), best)


def _ceil_log2(value: float) -> int:
    """The least p with 2**p >= `value`, exactly, unlike the ceiling of a rounded logarithm."""
    mantissa, exponent = math.frexp(value)
    return exponent - 1 if mantissa == 0.5 else exponent


def _merged(cost: Float64, end: Float64, used: NDArray[np.int8]) -> tuple[Float64, Float64, NDArray[np.int8]]:
    """Merge pairs of cells into cells of twice the size, keeping the cheaper state of each pair."""
    bases, cells = cost.shape
    pairs = cost.reshape(bases, cells // 2, 2)
    row, pair = np.ogrid[:bases, : cells // 2]
    cell = 2 * pair + pairs.argmin(axis=2)
    cheaper = np.full_like(cost, np.inf), np.zeros_like(end), np.zeros_like(used)
    cheaper[0][:, : cells // 2] = cost[row, cell]
    cheaper[1][:, : cells // 2] = end[row, cell]
    cheaper[2][:, : cells // 2] = used[row, cell]
    return cheaper

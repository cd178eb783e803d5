# SPDX-License-Identifier: Apache-2.0
"""How much the errors of a code count that is divided row by row: those of a normalization.

A normalization divides each row by its root mean square, and so the error of the row's code. A class token that
starts at nothing and the patches around it may lie a factor of hundreds apart, yet both come out at size 1. The
squared error at a magnitude x hence counts as the mean of 1 / r**2 over the rows in which x occurs:

    importance(x) = sum_r rows(r) p(x | r) / r**2  /  sum_r rows(r) p(x | r)

of which calibration knows the number of rows with divisor r. How values spread within a row is taken as

    p(x | r) ~ r**3 / (r**2 + x**2)**2

which is bell-shaped with the heavy tails of activations, and a quotient that every machine rounds alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def importance(magnitudes: Float64, divisors: Float64, rows: NDArray[Any]) -> Float64:
    """How much a squared error at each of `magnitudes` counts, in float32's precision and relative to their largest.

    Args:
        magnitudes: float64 [M], >= 0.
        divisors: float64 [R], what rows are divided by, >= 0; at least one is above.
        rows: [R], how many rows each divides.

    Returns:
        float64 [M], above 0.
    """
    some = divisors > 0.0  # a row that is divided by nothing holds nothing
    r, rows = divisors[some] / divisors.max(), rows[some]
    x = magnitudes[:, None] / divisors.max()
    likelihood = rows * r**3 / (r**2 + x**2) ** 2
    relative: Float64 = (likelihood / r**2).sum(axis=1) / likelihood.sum(axis=1)
    # In float32, because sums round as they are ordered.
    return np.asarray(relative.astype(np.float32), np.float64)

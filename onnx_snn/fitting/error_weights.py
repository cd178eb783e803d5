# SPDX-License-Identifier: Apache-2.0
"""Weights of squared errors for codes of normalized rows.

A normalization divides each row, and with it the error of the row's code, by its root mean square r. Rows may differ in
size by a factor of hundreds, like a class token and image patches, yet all are normalized to size 1. The squared error
at a magnitude x is therefore weighted by the mean of 1 / r**2 over the rows in which x occurs:

    importance(x) = sum_r rows(r) p(x | r) / r**2  /  sum_r rows(r) p(x | r)

Calibration counts the rows with divisor r. The distribution of values within a row is modelled as

    p(x | r) ~ r**3 / (r**2 + x**2)**2

which is bell-shaped with the heavy tails of activations, and rational, so that every machine rounds it alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float64


def importance(magnitudes: Float64, divisors: Float64, rows: NDArray[Any]) -> Float64:
    """Relative weight of a squared error at each magnitude, rounded to float32.

    Args:
        magnitudes: magnitudes, float64 [M], >= 0.
        divisors: divisors of rows, float64 [R], >= 0 and not all 0.
        rows: number of rows with each divisor [R].

    Returns:
        Weights, float64 [M], above 0; their unit is 1 / max(divisors)**2.
    """
    nonzero = divisors > 0.0  # rows with divisor 0 are all zeros, which are coded exactly
    r, rows = divisors[nonzero] / divisors.max(), rows[nonzero]
    x = magnitudes[:, None] / divisors.max()
    likelihood = rows * r**3 / (r**2 + x**2) ** 2
    relative: Float64 = (likelihood / r**2).sum(axis=1) / likelihood.sum(axis=1)
    # In float32, so that the order of summation has no effect.
    return np.asarray(relative.astype(np.float32), np.float64)

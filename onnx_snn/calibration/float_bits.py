# SPDX-License-Identifier: Apache-2.0
"""Bins of float32 values, read off their own bits: sign, exponent and the top bits of the mantissa.

Every octave is cut alike, so that the few huge activations that decide the loss of a network keep their resolution, and
a scaling by a power of two moves each count to another bin and changes none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

BLOCK = 1 << 16
"""Number of elements that are counted at a time: their bin numbers stay in the second-level cache."""

MANTISSA_BITS = 23
EXPONENT_BIAS = 127


@np.errstate(over="ignore")
def as_float32(array: NDArray[Any]) -> Float32:
    """`array` as float32, uncopied where it is; a float64 beyond its range becomes infinite and counts so."""
    return np.asarray(array).astype(np.float32, copy=False)

# SPDX-License-Identifier: Apache-2.0
"""Logarithmic bins of float32 values, whose numbers are their top bits: sign, exponent and leading mantissa bits.

All octaves have the same number of bins, so that the few massive activations that determine the loss of a network keep
their relative resolution, and scaling by a power of two shifts bins without changing any count.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float32

Arrays = dict[str, NDArray[Any]]

BLOCK = 1 << 16
"""Number of elements that are counted at a time, so that their bin numbers fit into the second-level cache."""

MANTISSA_BITS = 23
"""Number of stored mantissa bits of float32."""

EXPONENT_BIAS = 127
"""Exponent bias of float32."""

EXTREME_BITS = 8
"""Significant bits of the extremes to which neurons are fitted. The last bits of activations depend on the processor,
and with them those of exact extremes; the bins of values hardly ever do."""


@np.errstate(over="ignore")
def as_float32(array: NDArray[Any]) -> Float32:
    """`array` as float32, uncopied where it is; a float64 beyond its range becomes infinite and counts so."""
    return np.asarray(array).astype(np.float32, copy=False)


def below(value: float) -> float:
    """The largest number of `EXTREME_BITS` significant bits up to `value`."""
    return -above(-value)


def above(value: float) -> float:
    """The smallest number of `EXTREME_BITS` significant bits from `value` on."""
    if not math.isfinite(value):
        return value
    mantissa, exponent = math.frexp(value)
    return math.ldexp(math.ceil(math.ldexp(mantissa, EXTREME_BITS)), exponent - EXTREME_BITS)

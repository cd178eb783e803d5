# SPDX-License-Identifier: Apache-2.0
"""Sparse neurons whose error shows at the output: refined until it is within bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeVar

from onnx_snn.config.convert_config import SPARSE, Allowances
from onnx_snn.conversion.verification import Comparison

OUTPUT_ERROR, SAMPLE_ERROR = 4e-3, 1e-2
"""Largest relative error of an output with sparse neurons, over all verified samples and on any one of them."""

MOST_HALVINGS = 2
"""How often the error of sparse neurons is halved at most; a quarter of it takes about as many spikes as neurons that
are as exact as they can be."""


class Attempt(Protocol):
    """A conversion whose error at the output has been measured."""

    @property
    def comparison(self) -> Comparison:
        """Its error against the original."""


Converted = TypeVar("Converted", bound=Attempt)


def sparsest_within_bounds(attempt: Callable[[Allowances | None], Converted]) -> Converted:
    """The conversion with the sparsest neurons whose error at the output is within bounds.

    Output errors are about proportional to those of the neurons. So the first guess tells how often these have to be
    halved; a second guess that fails is followed by neurons that are as exact as they can be.

    Args:
        attempt: converts with neurons within allowances, or with None as exact as they can be.
    """
    sparse = attempt(SPARSE)
    excess = excess_of(sparse.comparison)
    if excess <= 1.0:
        return sparse
    if excess <= 2.0**MOST_HALVINGS:
        refined = attempt(SPARSE.halved(math.ceil(math.log2(excess))))
        if excess_of(refined.comparison) <= 1.0:
            return refined
    return attempt(None)


def excess_of(comparison: Comparison) -> float:
    """The error at the output over its bound, whichever of the two bounds is closer."""
    return max(comparison.worst_error / OUTPUT_ERROR, comparison.worst_sample / SAMPLE_ERROR)

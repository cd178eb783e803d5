# SPDX-License-Identifier: Apache-2.0
"""Sparse neurons are refined until the error at the output is within bounds, and given up where guesses fail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from onnx_snn.config.allowances import SPARSE, Allowances
from onnx_snn.conversion.neuron_rules import OUTPUT_ERROR, SAMPLE_ERROR, sparsest_within_bounds
from onnx_snn.conversion.report import OutputReport
from onnx_snn.conversion.verification import Comparison


@dataclass(frozen=True)
class Attempt:
    allowances: Allowances | None
    comparison: Comparison


@pytest.mark.parametrize(
    ("excesses", "expected"),
    [
        ((0.3,), SPARSE),
        ((1.0,), SPARSE),
        ((1.5, 0.9), SPARSE.halved(1)),
        ((3.0, 1.0), SPARSE.halved(2)),
        ((3.0, 1.1, 9.0), None),
        ((4.1, 9.0), None),
        ((math.inf, 9.0), None),
    ],
)
@pytest.mark.parametrize("of_a_sample", [False, True])
def test_the_sparsest_attempt_within_bounds_is_taken(
    excesses: tuple[float, ...], expected: Allowances | None, of_a_sample: bool
) -> None:
    left = list(excesses)

    def attempt(allowances: Allowances | None) -> Attempt:
        excess = left.pop(0)
        if of_a_sample:
            return Attempt(allowances, Comparison(worst_sample=excess * SAMPLE_ERROR))
        return Attempt(allowances, Comparison([OutputReport("y", excess * OUTPUT_ERROR, 0.0, None)]))

    assert sparsest_within_bounds(attempt).allowances == expected
    assert not left

# SPDX-License-Identifier: Apache-2.0
"""Errors of a tensor where the original holds zeros or numbers that are not finite."""

from __future__ import annotations

import math

import numpy as np
import pytest

from onnx_snn.evaluation.error_stats import Difference


def difference(original: object, spiking: object) -> Difference:
    found = Difference()
    found.add(np.asarray(original, np.float32), np.asarray(spiking, np.float32))
    return found


@pytest.mark.parametrize(
    ("original", "spiking", "error"),
    [([0.0, 0.0], [0.0, 0.0], 0.0), ([0.0, 0.0], [0.0, 1.0], math.inf), ([3.0, 4.0], [3.0, 9.0], 1.0)],
)
def test_relative_errors_of_zeros(original: list[float], spiking: list[float], error: float) -> None:
    found = difference([original], [spiking])
    assert found.relative_error == found.worst == error


def test_rows_with_nan_are_no_predictions() -> None:
    rows = [[math.nan, 1.0], [1.0, 2.0]]
    assert difference(rows, [[1.0, 0.0], [2.0, 1.0]]).agreement == 0.0
    assert difference(rows[:1], rows[:1]).agreement is None


def test_masked_classes_are_part_of_a_prediction() -> None:
    assert difference([[-math.inf, 1.0]], [[-math.inf, 2.0]]).agreement == 1.0

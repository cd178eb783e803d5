# SPDX-License-Identifier: Apache-2.0
"""The error at the outputs: relative to the means of rows, and never hidden by values that are not finite."""

from __future__ import annotations

import math

import numpy as np
import pytest
from networks import normal

from onnx_snn.allocation.output_error import OutputErrors


def squared(exact: np.ndarray, actual: np.ndarray) -> float:
    return OutputErrors([{"y": exact}]).squares([{"y": actual}])["y"]


def test_a_shift_of_whole_rows_is_no_error() -> None:
    exact = normal(3, 8).astype(np.float64)
    shifted = exact + np.array([[1.0], [-2.0], [3.0]])
    assert squared(exact, shifted) == pytest.approx(0.0, abs=1e-12)
    assert squared(shifted, exact + 0.1 * normal(3, 8)) == pytest.approx(
        squared(exact, exact + 0.1 * normal(3, 8)), rel=1e-6
    )


def test_rows_of_one_element_are_taken_as_they_are() -> None:
    assert squared(np.array([[2.0], [1.0]]), np.array([[2.5], [1.0]])) == pytest.approx(0.25 / 5.0)


def test_runs_add_up() -> None:
    first, second = normal(2, 4), normal(2, 4, seed=2)
    apart = OutputErrors([{"y": first}, {"y": second}]).squares([{"y": 0.9 * first}, {"y": 0.9 * second}])
    assert apart["y"] == pytest.approx(0.01, rel=1e-5)


def test_infinite_elements_of_the_original_do_not_count() -> None:
    exact = np.array([[1.0, 2.0, -np.inf]])
    assert squared(exact, exact) == 0.0
    assert squared(exact, np.array([[1.0, 2.5, 3.0]])) > 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_elements_that_become_infinite_are_an_infinite_error(value: float) -> None:
    assert squared(np.array([[1.0, 2.0]]), np.array([[1.0, value]])) == math.inf


def test_other_shapes_are_an_infinite_error() -> None:
    assert squared(normal(2, 3), normal(2, 4)) == math.inf


def test_whole_numbers_and_constant_rows_are_no_outputs_to_judge() -> None:
    outputs = {"y": normal(2, 4), "label": np.array([1, 2]), "constant": np.ones((2, 4), np.float32)}
    assert OutputErrors([outputs]).names == ("y",)

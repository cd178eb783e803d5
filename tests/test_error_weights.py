# SPDX-License-Identifier: Apache-2.0
"""How much errors count where rows are divided by their root mean square."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.fitting.error_weights import importance

MAGNITUDES = np.geomspace(1e-6, 1e3, 200)
positive = st.floats(2.0**-30, 2.0**30, allow_nan=False)


def test_rows_of_one_size_make_all_errors_count_alike() -> None:
    np.testing.assert_array_equal(importance(MAGNITUDES, np.array([0.37]), np.array([5])), 1.0)


def test_what_occurs_in_small_rows_alone_counts_as_much_as_these_are_amplified() -> None:
    found = importance(np.array([0.0, 1e-2, 1e4]), np.array([1e-2, 1.0]), np.array([1000, 1]))
    assert found[0] == pytest.approx(1e4, rel=1e-3)
    assert found[1] == pytest.approx(1e4, rel=1e-2)
    assert found[2] < 20


@given(st.lists(st.tuples(positive, st.integers(1, 1000)), min_size=1, max_size=5))
def test_it_lies_between_that_of_the_smallest_and_the_largest_row_and_falls(rows: list[tuple[float, int]]) -> None:
    divisors, counts = (np.array(column) for column in zip(*rows, strict=True))
    found = importance(MAGNITUDES, divisors.astype(np.float64), counts)
    assert np.isfinite(found).all()
    assert found.min() >= 1.0 - 1e-6
    assert found.max() <= (divisors.max() / divisors.min()) ** 2 * (1 + 1e-6)
    assert (np.diff(found) <= 1e-6 * found[1:]).all()


@given(st.integers(-40, 40))
def test_units_have_no_say(exponent: int) -> None:
    divisors, rows, unit = np.array([0.1, 2.0]), np.array([3, 4]), 2.0**exponent
    np.testing.assert_array_equal(
        importance(MAGNITUDES * unit, divisors * unit, rows), importance(MAGNITUDES, divisors, rows)
    )


def test_rows_without_content_are_left_out() -> None:
    divisors, rows = np.array([0.0, 0.1, 2.0]), np.array([100, 3, 4])
    np.testing.assert_array_equal(
        importance(MAGNITUDES, divisors, rows), importance(MAGNITUDES, divisors[1:], rows[1:])
    )

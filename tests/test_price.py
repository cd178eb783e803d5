# SPDX-License-Identifier: Apache-2.0
"""Choices at all prices: none is bettered by another choice of its cost, and they run from cheap to exact."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.allocation.price import predicted_front, total

TABLE = st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), min_size=1, max_size=4)
TABLES = st.lists(TABLE, min_size=1, max_size=4)


@pytest.mark.slow
@given(TABLES)
def test_costs_rise_and_distortions_fall_along_the_front(tables: list[list[tuple[int, int]]]) -> None:
    costs, distortions = ([[pair[i] for pair in table] for table in tables] for i in (0, 1))
    front = predicted_front(costs, distortions)
    for one, other in itertools.pairwise(front):
        assert total(costs, one) <= total(costs, other)
        assert total(distortions, one) >= total(distortions, other)


@pytest.mark.slow
@given(TABLES)
def test_no_other_choice_is_better_than_one_on_the_front(tables: list[list[tuple[int, int]]]) -> None:
    costs, distortions = ([[pair[i] for pair in table] for table in tables] for i in (0, 1))
    every = [list(choice) for choice in itertools.product(*(range(len(table)) for table in tables))]
    for chosen in predicted_front(costs, distortions):
        cost, distortion = total(costs, chosen), total(distortions, chosen)
        assert not any(total(costs, one) < cost and total(distortions, one) < distortion for one in every)


def test_the_ends_are_the_cheapest_and_the_most_exact_choice() -> None:
    costs, distortions = [[1.0, 2.0, 4.0], [1.0, 3.0]], [[4.0, 2.0, 1.0], [9.0, 0.5]]
    front = predicted_front(costs, distortions)
    assert (front[0], front[-1]) == ([0, 0], [2, 1])

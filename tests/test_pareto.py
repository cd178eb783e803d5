# SPDX-License-Identifier: Apache-2.0
"""The Pareto front holds what no other candidate betters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.fitting.pareto import pareto_front

pairs = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30)


@given(pairs)
def test_the_front_holds_what_nothing_betters(candidates: list[tuple[int, int]]) -> None:
    front = pareto_front(candidates, cost=lambda pair: pair, error=lambda pair: pair[1])
    bettered = {
        (cost, error)
        for cost, error in candidates
        for a, b in candidates
        if (a, b) != (cost, error) and a <= cost and b <= error
    }
    assert front == sorted(set(candidates) - bettered)


def test_an_error_that_is_smaller_by_less_than_the_margin_counts_for_nothing() -> None:
    candidates = [(1, 100.0), (2, 99.0), (3, 50.0)]
    front = pareto_front(candidates, cost=lambda pair: pair[0], error=lambda pair: pair[1], margin=0.1)
    assert front == [(1, 100.0), (3, 50.0)]

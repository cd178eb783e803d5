# SPDX-License-Identifier: Apache-2.0
"""Bounds of paired decisions: exact limits against their closed forms, and coverage over all outcomes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_snn.evaluation.paired_bounds import binomial_cdf, deviations, lower_limit, paired_upper_bound, upper_limit


def poisson(mean: float, counts: int) -> np.ndarray:
    return np.array([math.exp(-mean) * mean**k / math.factorial(k) for k in range(counts)])


@given(st.integers(1, 300), st.floats(0.5, 0.999))
def test_without_events_the_limit_has_a_closed_form(items: int, confidence: float) -> None:
    assert upper_limit(0, items, confidence=confidence) == pytest.approx(1.0 - (1.0 - confidence) ** (1.0 / items))
    assert lower_limit(items, items, confidence=confidence) == pytest.approx((1.0 - confidence) ** (1.0 / items))
    assert (lower_limit(0, items), upper_limit(items, items)) == (0.0, 1.0)


@given(st.integers(1, 200).flatmap(lambda items: st.tuples(st.integers(0, items - 1), st.just(items))))
def test_limits_are_where_the_tail_is_five_per_cent(counts: tuple[int, int]) -> None:
    events, items = counts
    assert binomial_cdf(events, items, upper_limit(events, items)) == pytest.approx(0.05, rel=1e-6)
    if events:
        assert 1.0 - binomial_cdf(events - 1, items, lower_limit(events, items)) == pytest.approx(0.05, rel=1e-6)


def test_many_events_have_the_normal_bound() -> None:
    expected = 0.02 + deviations(0.95) * math.sqrt((0.1 - 0.02**2) / 100_000)
    assert paired_upper_bound(6_000, 4_000, 100_000) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("lost", [0.5, 1.0, 2.9, 3.1, 5.0, 12.0])
@pytest.mark.parametrize("won", [0.0, 1.0, 2.9, 5.0, 12.0])
def test_it_covers_the_expected_loss(lost: float, won: float) -> None:
    """Over all outcomes of as good as independent counts, for any expected numbers of lost and won predictions."""
    items, counts = 2_000, 40
    outcomes = np.outer(poisson(lost, counts), poisson(won, counts))
    covered = sum(
        outcomes[b, c]
        for b, c in zip(*np.nonzero(outcomes > 1e-7), strict=True)
        if paired_upper_bound(int(b), int(c), items) >= (lost - won) / items
    )
    assert covered >= 0.95


def test_it_grows_with_what_is_lost_and_for_less_other_data() -> None:
    bounds = [paired_upper_bound(lost, 2, 200) for lost in range(10)]
    assert bounds == sorted(bounds)
    assert paired_upper_bound(3, 2, 200, future=200) > paired_upper_bound(3, 2, 200, future=20_000)
    assert paired_upper_bound(0, 0, 0) == 1.0

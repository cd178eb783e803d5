# SPDX-License-Identifier: Apache-2.0
"""The margin model: rates of flips without labels, and the number of labels that a target takes."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from networks import normal

from onnx_snn.evaluation.flip_model import FlipModel, samples_needed, upper_tail


def model(logits: np.ndarray, got: np.ndarray, correct: np.ndarray | None = None) -> FlipModel:
    found = FlipModel()
    found.add(logits, got, correct)
    return found


@pytest.mark.parametrize("change", [0.01, 0.1, 0.3])
def test_the_rate_of_flips_is_that_of_much_more_data(change: float) -> None:
    logits = 3.0 * normal(100_000, 10, seed=1)
    got = logits + change * normal(100_000, 10, seed=2)
    flips = np.mean(logits.argmax(-1) != got.argmax(-1))
    rates = [model(logits[i : i + 400], got[i : i + 400]).rate for i in range(0, 40_000, 400)]
    assert np.mean(rates) == pytest.approx(flips, rel=0.2)


def test_nothing_that_changes_flips_nothing() -> None:
    logits = normal(50, 4)
    found = model(logits, logits)
    assert found.rate == found.net_bound() == 0.0
    assert found.plausible


def test_more_flips_than_margins_explain_are_not_plausible() -> None:
    """Few rows change, but those for sure: the spread of all changes does not tell."""
    logits = np.tile(np.float32([2.0, 0.0, -5.0]), (500, 1))
    got = logits.copy()
    got[:20, 1] += 3.0
    assert not model(logits, got).plausible
    got = logits + np.float32(0.5) * normal(500, 3)
    assert model(logits, got).flips
    assert model(logits, got).plausible


def test_unlabelled_rows_sharpen_the_rate_and_labels_tell_what_is_lost() -> None:
    logits = 3.0 * normal(4_000, 10, seed=3)
    got = logits + 0.05 * normal(4_000, 10, seed=4)
    correct = (logits + np.random.default_rng(5).gumbel(size=logits.shape)).argmax(-1)
    few, known = model(logits[:300], got[:300], correct[:300]), np.where(np.arange(4_000) < 300, correct, -1)
    every = model(logits, got, known)
    assert every.rate == pytest.approx(few.rate, rel=0.5)
    assert every.net_bound() < every.rate < model(logits, got).net_bound()


def test_labels_needed_grow_with_the_square_of_the_rate_over_the_target() -> None:
    assert samples_needed(0.005, 0.004) == 0
    many, fewer = samples_needed(0.002, 0.02), samples_needed(0.004, 0.02)
    assert many == pytest.approx(4 * fewer, rel=0.01)
    assert samples_needed(0.002, 0.02, accuracy=0.5) == pytest.approx(4 * many, rel=0.01)
    assert samples_needed(0.002, 0.02, confidence=0.8) < many
    assert samples_needed(0.002, 0.0025) == 500


def test_labels_needed_are_those_of_the_bound() -> None:
    """Half of the draws of as many labels are within the target: those in which no more is lost than expected."""
    logits = 3.0 * normal(40_000, 10, seed=6)
    got = logits + 0.05 * normal(40_000, 10, seed=7)
    correct = (logits + np.random.default_rng(8).gumbel(size=logits.shape)).argmax(-1)
    rate = model(logits, got).rate
    items = samples_needed(0.005, rate)
    draws = (slice(start, start + items) for start in range(0, 40_000 - items, items))
    bounds = [model(logits[draw], got[draw], correct[draw]).net_bound() for draw in draws]
    assert np.mean(bounds) == pytest.approx(0.005, rel=0.35)


def test_the_tail_is_that_of_the_normal_distribution() -> None:
    points = np.linspace(0.0, 6.0, 50)
    np.testing.assert_allclose(upper_tail(points), [1.0 - NormalDist().cdf(x) for x in points], atol=1e-7)
    assert upper_tail(np.array([math.inf]))[0] == 0.0

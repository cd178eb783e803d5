# SPDX-License-Identifier: Apache-2.0
"""The bound of a loss: how often other data exceed it where the truth is known, and what few samples promise."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from networks import normal

from onnx_snn.evaluation.loss_bound import Loss
from onnx_snn.evaluation.metrics import METRICS

POPULATION = 200_000

Samples = tuple[np.ndarray, np.ndarray, np.ndarray]


def population(noise: str, change: float) -> Samples:
    """Logits of a classifier that is right as often as it says, those of a converted one, and labels."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(POPULATION, 10)) * 3.0
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(-1)
    error = rng.normal(size=logits.shape) if noise != "heavy tails" else rng.standard_t(2.5, size=logits.shape) * 0.6
    if noise == "few bad samples":
        error *= np.where(rng.random((POPULATION, 1)) < 0.02, 7.0, 0.3)
    if noise == "biased":
        error = 0.5 * error + (np.arange(10) == 0)
    return logits, logits + change * error, labels


def loss_of(metric: str, samples: Samples, chosen: np.ndarray | slice = slice(None)) -> Loss:
    loss = Loss(METRICS[metric])
    loss.add(*(array[chosen] for array in samples))
    return loss


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["normal", "heavy tails", "few bad samples", "biased"])
@pytest.mark.parametrize(
    ("metric", "change"), [("accuracy", 0.02), ("accuracy", 0.1), ("agreement", 0.1), ("perplexity", 0.02)]
)
def test_nineteen_of_twenty_draws_bound_the_loss_on_all_other_data(metric: str, noise: str, change: float) -> None:
    """And on held-back data of ten times the size, by the bound for that many.

    Of 200 draws, 3 % more or less is chance. The mean of a score with tails as heavy as here shows in no few samples.
    """
    least = 0.95 if metric == "accuracy" else 0.9 if noise in ("normal", "biased") else 0.85
    samples, rng = population(noise, change), np.random.default_rng(1)
    truth = loss_of(metric, samples).relative
    for size in (200, 1_000):
        covered, held = [], []
        for _ in range(200):
            drawn = loss_of(metric, samples, rng.integers(0, POPULATION, size))
            other = loss_of(metric, samples, rng.integers(0, POPULATION, 10 * size))
            assert drawn.bound >= drawn.relative
            covered.append(drawn.bound >= truth)
            held.append(drawn.bound_for(10 * size) >= other.relative)
        assert min(np.mean(covered), np.mean(held)) >= least


def test_a_loss_that_margins_do_not_explain_is_bounded_by_its_counts() -> None:
    """One prediction in fifty is turned for sure, all for the worse: the spread of all changes tells nothing of it."""
    logits = np.tile([8.0, 0.0, -5.0], (500, 1)) + 0.01 * normal(500, 3)
    got = logits.copy()
    got[::50, 1] += 9.0
    loss = loss_of("accuracy", (logits, got, np.zeros(500, np.int64)))
    assert (loss.lost, loss.won, loss.judged) == (10, 0, 500)
    assert loss.relative == pytest.approx(0.02)
    assert loss.bound == pytest.approx(0.0337, abs=1e-3)  # that of 10 in 500 by Clopper and Pearson


def test_two_hundred_labels_promise_a_finite_loss() -> None:
    logits, got, labels = (array[:200] for array in population("normal", 0.02))
    loss = loss_of("accuracy", (logits, got, labels))
    assert loss.lost == 0
    assert 0.0 < loss.bound < 0.01 < loss_of("accuracy", (logits, 50.0 * got - 49.0 * logits, labels)).bound < 1.0


def test_samples_without_labels_count_for_flips_and_divergence() -> None:
    logits, got, labels = (array[:2_000] for array in population("normal", 0.05))
    loss = Loss(METRICS["accuracy"])
    loss.add(logits[:200], got[:200], labels[:200])
    alone = loss.relative
    loss.add(logits[200:], got[200:], None)
    assert (loss.relative, loss.judged) == (alone, 200)
    assert loss.flip_rate == loss_of("agreement", (logits, got, labels)).flip_rate
    assert loss.divergence == pytest.approx(loss_of("perplexity", (logits, got, labels)).divergence)
    assert loss.bound < 0.02


def test_labels_to_ignore_are_not_judged() -> None:
    logits, got, labels = (array[:400] for array in population("normal", 0.1))
    ignored = np.where(np.arange(400) % 2, -100, labels)
    loss = loss_of("accuracy", (logits, got, ignored))
    assert loss.judged == 200
    assert loss.bound >= loss.relative == loss_of("accuracy", (logits[::2], got[::2], labels[::2])).relative


def test_a_metric_of_values_has_no_flips() -> None:
    loss = Loss(METRICS["cosine"])
    loss.add(normal(20, 5), normal(20, 5) + 0.1 * normal(20, 5, seed=1), None)
    assert math.isnan(loss.flip_rate)
    assert math.isnan(loss.divergence)
    assert loss.bound > loss.relative


def test_f1_is_bounded_as_far_above_its_loss_as_accuracy() -> None:
    samples = tuple(array[:500] for array in population("normal", 0.1))
    f1, accuracy = (loss_of(metric, samples) for metric in ("f1", "accuracy"))  # type: ignore[arg-type]
    assert f1.bound - f1.relative == pytest.approx(accuracy.bound - accuracy.relative, rel=0.1)


def test_the_bound_falls_with_the_change_and_with_more_data() -> None:
    samples = population("normal", 0.05)
    bounds = [loss_of("accuracy", samples, slice(size)).bound for size in (300, 3_000, 30_000)]
    assert all(later < earlier for earlier, later in itertools.pairwise(bounds))
    logits, got, labels = samples
    small = loss_of("accuracy", (logits, logits + 0.1 * (got - logits), labels), slice(300))
    assert small.bound < bounds[0]

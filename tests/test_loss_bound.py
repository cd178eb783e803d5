# SPDX-License-Identifier: Apache-2.0
"""Losses on other data: how often they exceed the bound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from networks import normal

from onnx_snn.evaluation.loss_bound import Loss, distortion
from onnx_snn.evaluation.metrics import METRICS


def test_distortion_is_the_divergence_of_what_logits_say() -> None:
    logits, change = normal(50, 10, seed=1).astype(np.float64), 1e-3 * normal(50, 10, seed=2)
    p, q = (np.exp(each) / np.exp(each).sum(-1, keepdims=True) for each in (logits, logits + change))
    assert distortion(logits, logits + change, decisive=True) == pytest.approx(
        float((p * np.log(p / q)).sum()), rel=1e-2
    )
    assert distortion(logits, logits + 3.0, decisive=True) == pytest.approx(0.0, abs=1e-12)
    assert distortion(logits, logits + change, decisive=False) == pytest.approx(float((change**2).sum()))


def losses_of(metric: str, change: float) -> list[Loss]:
    """Losses by noise of a classifier whose decisions are as sure as it says: 400 draws of 500 samples."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        logits = rng.normal(size=(500, 5))
        labels = (logits + rng.gumbel(size=logits.shape)).argmax(-1)
        found.append(Loss(METRICS[metric]))
        found[-1].add(logits, logits + change * rng.normal(size=logits.shape), labels)
    return found


@pytest.mark.parametrize("metric", ["accuracy", "agreement", "perplexity"])
def test_other_data_exceeds_the_bound_once_in_twenty_times(metric: str) -> None:
    """The bound holds from a hundred samples on; losses of decisions come in steps, so that fewer exceed it."""
    losses = losses_of(metric, 0.05)
    exceeded = [later.relative > loss.bound for loss, later in itertools.pairwise(losses)]
    assert np.mean(exceeded) <= 0.08


def test_the_deviation_of_decisions_is_what_is_seen() -> None:
    losses = losses_of("accuracy", 0.05)
    bounds = [max(loss.bound, 0.0) for loss in losses if loss.relative < loss.bound]
    assert np.std([loss.relative for loss in losses]) * 1.645 == pytest.approx(np.mean(bounds), rel=0.2)

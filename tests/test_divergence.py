# SPDX-License-Identifier: Apache-2.0
"""Divergences of outputs against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from networks import normal

from onnx_snn.evaluation.divergence import distortion, kl_divergence

LOGITS, CHANGE = normal(50, 10, seed=1).astype(np.float64), 1e-3 * normal(50, 10, seed=2)


def test_it_is_the_divergence_of_the_softmax_distributions() -> None:
    p, q = (np.exp(each) / np.exp(each).sum(-1, keepdims=True) for each in (LOGITS, LOGITS + 100 * CHANGE))
    expected = (p * np.log(p / q)).sum(-1)
    np.testing.assert_allclose(kl_divergence(LOGITS, LOGITS + 100 * CHANGE), expected, rtol=1e-9)
    assert kl_divergence(LOGITS.reshape(5, 10, 10), LOGITS.reshape(5, 10, 10)).shape == (5, 10)


def test_a_class_that_is_excluded_adds_nothing() -> None:
    excluded = np.where(np.arange(10) == 3, -np.inf, LOGITS)
    assert np.isfinite(kl_divergence(excluded, excluded + CHANGE)).all()


def test_distortion_is_the_divergence_of_what_logits_say() -> None:
    exact = kl_divergence(LOGITS, LOGITS + CHANGE).sum()
    assert distortion(LOGITS, LOGITS + CHANGE, decisive=True) == pytest.approx(exact, rel=1e-2)
    assert distortion(LOGITS, LOGITS + 3.0, decisive=True) == pytest.approx(0.0, abs=1e-12)
    assert distortion(LOGITS, LOGITS + CHANGE, decisive=False) == pytest.approx(float((CHANGE**2).sum()))

# SPDX-License-Identifier: Apache-2.0
"""Task metrics against scikit-style definitions written out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import normal

from onnx_snn import CalibrationError, ConfigError
from onnx_snn.evaluation.metrics import METRICS, Score, metric_of

LABELS = np.array([0, 1, 2, 2, -100])
OUTPUT = np.array([[2, 1, 0], [0, 3, 1], [0, 1, 2], [5, 0, 1], [9, 0, 0]], np.float32)
"""Decisions 0, 1, 2, 0; the last item is left out."""

E = float(np.e)


def score(name: str, output: Any, original: Any, labels: Any, cuts: int = 1) -> float:
    found = metric_of(name, labels)
    assert found is not None
    running = Score(found)
    parts = [
        np.array_split(array, cuts) if array is not None else [None] * cuts for array in (output, original, labels)
    ]
    for batch in zip(*parts, strict=True):
        running.add(*batch)
    return running.value


@pytest.mark.parametrize("cuts", [1, 2, 5])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 3 / 4),
        ("f1", (2 / 3 + 1.0 + 2 / 3) / 3),
        ("perplexity", ((1 + E + E**2) ** 2 * (1 + E + E**3) * (1 + E + E**5) / E**8) ** 0.25),
    ],
)
def test_scores_do_not_depend_on_batches(name: str, expected: float, cuts: int) -> None:
    assert score(name, OUTPUT, OUTPUT, LABELS, cuts) == pytest.approx(expected, rel=1e-5)


def test_cosine_and_agreement_compare_with_the_original() -> None:
    other = OUTPUT.copy()
    other[0] = [0, 4, 3]
    cosine = (OUTPUT[0] @ other[0]) / (np.linalg.norm(OUTPUT[0]) * 5)
    assert score("cosine", other, OUTPUT, None, 2) == pytest.approx((cosine + 4) / 5)
    assert score("agreement", other, OUTPUT, None, 2) == pytest.approx(4 / 5)
    assert score("cosine", OUTPUT, OUTPUT, None) == pytest.approx(1.0)


def test_accuracy_and_f1_judge_every_token() -> None:
    output, labels = normal(2, 7, 5), np.arange(14).reshape(2, 7) % 5
    assert score("accuracy", output, output, labels) == np.mean(output.argmax(-1) == labels)


def test_a_function_is_a_metric() -> None:
    metric = metric_of(lambda output, labels: (output.argmax(-1) == labels)[labels >= 0], LABELS)
    assert metric is not None
    running = Score(metric)
    running.add(OUTPUT, OUTPUT, LABELS)
    assert running.value == 3 / 4


def test_the_labels_suggest_a_metric() -> None:
    assert metric_of(None, None) is None
    assert metric_of(None, LABELS) is METRICS["accuracy"]
    assert metric_of(None, LABELS[None]) is METRICS["perplexity"]


def test_losses_are_positive_where_it_gets_worse() -> None:
    assert METRICS["accuracy"].relative_loss(0.8, 0.6) == pytest.approx(0.25)
    assert METRICS["perplexity"].relative_loss(20.0, 21.0) == pytest.approx(0.05)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="metric is 'bleu'; expected one of"):
        metric_of("bleu", LABELS)
    with pytest.raises(CalibrationError, match="metric 'f1' needs labels"):
        metric_of("f1", None)
    broken = metric_of(lambda *_: float("nan"), None)
    assert broken is not None
    with pytest.raises(CalibrationError, match=r"the metric .* returned nan"):
        broken.evidence(OUTPUT, OUTPUT, None)
    with pytest.raises(CalibrationError, match=r"labels have shape \(4,\)"):
        score("accuracy", OUTPUT, OUTPUT, LABELS[:4])
    with pytest.raises(CalibrationError, match="must be integers from 0 to 2"):
        score("accuracy", OUTPUT, OUTPUT, LABELS + 1)

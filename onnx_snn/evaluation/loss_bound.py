# SPDX-License-Identifier: Apache-2.0
"""Relative loss of a spiking network, and an upper confidence bound of it for other data of the same size.

A few hundred samples do not resolve tenths of a per cent of accuracy: one decision is 0.2 % of 500. So beside the
point estimate there is a one-sided bound at a confidence level of 95 %.

Metrics that count decisions (accuracy, F1, agreement). The number of predictions that flip is not observed but
expected, under a normal model of margins: with margins m_i between the two largest outputs of the original, and changes
of margins that are normal with standard deviation s, the share of flips is

    p(s) = mean over i of Q(m_i / s),    Q the tail of the standard normal distribution

Where p(s) n is a handful, the estimate depends on the smallest margin alone; p is proportional to s for small s, so it
is taken at a larger s at which `RESOLVED` predictions flip, and scaled down. Flips to right and to wrong are equally
likely: the loss has mean zero and standard deviation sqrt(p / n), of which what was observed is one draw. Without
labels every flip is a loss: the bound is that of a Poisson count, p + 1.645 sqrt(p / n).

Other metrics. The bound is the observed loss plus 1.645 sqrt(2) standard errors of the mean change per item, since the
observed data and the other data both vary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.evaluation.metrics import Metric, Score

Float64 = NDArray[np.float64]

CONFIDENCE = 1.645
"""Quantile of the standard normal distribution at 95 %: the one-sided confidence level of the bound."""

RESOLVED = 10
"""Expected prediction flips from which their share is known to within a third: the relative error is 1 / sqrt(10)."""

LARGEST_SHARE = 0.25
"""Largest share of flips at which the model is used: changes without limit flip half of all predictions."""


@dataclass
class Loss:
    """Loss of one spiking network relative to its original, summed over batches.

    Attributes:
        metric: the task metric.
        difference: of the outputs.
    """

    metric: Metric
    difference: Difference = field(default_factory=Difference)

    def __post_init__(self) -> None:
        self._original, self._spiking = Score(self.metric), Score(self.metric)
        self._margins: list[Float64] = []
        self._changes: list[Float64] = []

    def add(self, expected: NDArray[Any], got: NDArray[Any], labels: NDArray[Any] | None) -> None:
        """Count one batch."""
        self.difference.add(expected, got)
        self._original.add(expected, expected, labels)
        self._spiking.add(got, expected, labels)
        if self.metric.counts_decisions:
            margins, changes = _margins(expected, got)
            self._margins.append(margins)
            self._changes.append(changes)

    @property
    def relative(self) -> float:
        """Relative loss of the metric; negative: a gain."""
        return self.metric.relative_loss(self._original.value, self._spiking.value)

    @property
    def bound(self) -> float:
        """Relative loss that other data of this size stay below with a confidence of 95 %."""
        if self.metric.counts_decisions:
            flipped, items = self._flipped()
            deviation, original = math.sqrt(flipped / items), abs(self._original.value)
            if self.metric.needs_labels:
                return CONFIDENCE * deviation / original
            return max(self.relative, (flipped + CONFIDENCE * deviation) / original)
        changes = self._spiking.evidence - self._original.evidence
        deviation = float(changes.std()) / math.sqrt(changes.size)
        # The relative change of an exponential is the change of what is in it.
        relative = deviation / abs(self._original.value) if self.metric.higher_is_better else deviation
        return self.relative + math.sqrt(2.0) * CONFIDENCE * relative

    def _flipped(self) -> tuple[float, int]:
        """Expected share of predictions that flip, and the number of predictions."""
        margins = np.concatenate(self._margins)
        spread = math.sqrt(float(np.mean(np.concatenate(self._changes) ** 2)))
        share = min(RESOLVED / margins.size, LARGEST_SHARE)
        resolved = max(spread, _spread_that_flips(margins, share))
        flipped = float(_tail(margins / resolved).mean()) * spread / resolved if resolved > 0.0 else 0.0
        return flipped, margins.size


def distortion(expected: NDArray[Any], got: NDArray[Any], *, decisive: bool) -> float:
    """How far outputs are off, summed over samples: zero where nothing differs, in proportion to squared errors.

    Args:
        expected: output of the original.
        got: output of the spiking network.
        decisive: outputs are logits, of which the differences matter between classes that are likely: half the
            variance of the change under the original's probabilities, which is the divergence of the two
            distributions to second order.
    """
    change = got.astype(np.float64) - expected
    if not decisive:
        return float((change**2).sum())
    exponentials = np.exp(expected - expected.max(axis=-1, keepdims=True), dtype=np.float64)
    likely = exponentials / exponentials.sum(axis=-1, keepdims=True)
    mean = (likely * change).sum(axis=-1, keepdims=True)
    return float((likely * (change - mean) ** 2).sum()) / 2.0


def _margins(expected: NDArray[Any], got: NDArray[Any]) -> tuple[Float64, Float64]:
    """Margins [rows] between the two largest outputs of the original, and by how much they changed."""
    flat, spiking = (array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (expected, got))
    top = np.argpartition(flat, -2, axis=-1)[:, -2:]
    (low, high), (new_low, new_high) = (np.take_along_axis(array, top, axis=-1).T for array in (flat, spiking))
    return np.abs(high - low), (new_high - new_low) - (high - low)


def _spread_that_flips(margins: Float64, share: float) -> float:
    """Standard deviation of changes, to within 1e-3 of it, at which this share of the predictions flips."""
    low, high = float(margins.min()), 2.0 * float(margins.max())
    while high - low > 1e-3 * high:
        middle = (low + high) / 2.0
        low, high = (low, middle) if middle > 0.0 and _tail(margins / middle).mean() > share else (middle, high)
    return high


def _tail(deviations: Float64) -> Float64:
    """Probability that a normal variable exceeds `deviations` >= 0, to within 1e-7 (Abramowitz and Stegun, 26.2.17)."""
    t = 1.0 / (1.0 + 0.2316419 * deviations)
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail: Float64 = series * np.exp(-0.5 * deviations**2) / math.sqrt(2.0 * math.pi)
    return tail

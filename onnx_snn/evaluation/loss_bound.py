# SPDX-License-Identifier: Apache-2.0
"""Observed loss of a spiking network on a sample of data, and a prediction bound for other samples of the same size.

A few hundred samples do not resolve tenths of a per cent of accuracy: of 500 samples, one prediction is 0.2 %. So the
observed loss is accompanied by a one-sided prediction bound, which the loss on another sample of n items exceeds with a
probability of 5 %. All bounds are normal approximations, with z = 1.645 the 95 % quantile of the normal distribution.

**Predictions** (accuracy, F1, agreement). The bound is that of the expected prediction flips under a normal margin
model. The margin m_i >= 0 of row i is the difference of the original's two largest outputs. The change of a margin by
the conversion is modelled as N(0, s**2), with s the root mean square of the observed changes. Then the prediction of
row i flips with probability Q(m_i / s), where Q is the upper tail of the standard normal distribution, and the expected
rate of prediction flips is

    r(s) = 1/n * sum_i Q(m_i / s)

If only a few flips are expected, r(s) depends on the few smallest margins and is a noisy estimate. The density of
margins is about constant near zero, so r is proportional to s there. Therefore r is evaluated at a larger s_0, at which
RESOLVED_FLIPS flips are expected, and scaled: r(s) = r(s_0) * s / s_0.

- With labels, a flip is equally likely to make a prediction right or wrong. The change of accuracy has mean 0 and
  variance r / n. The observed change is one draw from this distribution and is not used: the bound is z * sqrt(r / n).
- Without labels, every flip is a loss. The rate of flips in a sample has mean r and, for a Poisson process, variance
  r / n: the bound is r + z * sqrt(r / n), or the observed rate if that is larger.

**Other scores** are means of one value per item. The mean changes of the observed sample and of another sample of the
same size have a difference with twice the variance of either, so the bound is the observed loss plus z * sqrt(2) times
its standard error (a prediction bound for the mean of a future sample: G. J. Hahn and W. Q. Meeker, *Statistical
Intervals*, Wiley, 1991). For a score that is the exponential of such a mean, the relative change is the change of the
mean, to first order (delta method).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float64
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.evaluation.metrics import Metric, Score

CONFIDENCE = 1.645
"""The 95 % quantile of the standard normal distribution, in standard deviations."""

RESOLVED_FLIPS = 10
"""Number of expected prediction flips at which their rate is evaluated: a Poisson count of 10 has a relative standard
deviation of 1/sqrt(10), about a third."""

LARGEST_RATE = 0.25
"""Largest rate of flips, as a fraction of the predictions, at which the rate is evaluated in small samples; the model's
rate cannot exceed 0.5, which it reaches for infinitely large changes of the margins."""


@dataclass
class Loss:
    """Loss of one spiking network relative to its original, accumulated over batches.

    Attributes:
        metric: task metric.
        difference: error statistics of the output.
    """

    metric: Metric
    difference: Difference = field(default_factory=Difference)

    def __post_init__(self) -> None:
        self._original, self._spiking = Score(self.metric), Score(self.metric)
        self._margins: list[Float64] = []
        self._changes: list[Float64] = []

    def add(self, expected: NDArray[Any], got: NDArray[Any], labels: NDArray[Any] | None) -> None:
        """Add one batch: output of the original, output of the spiking network, and labels, if any."""
        self.difference.add(expected, got)
        self._original.add(expected, expected, labels)
        self._spiking.add(got, expected, labels)
        if self.metric.counts_decisions:
            margins, changes = _margins(expected, got)
            self._margins.append(margins)
            self._changes.append(changes)

    @property
    def relative(self) -> float:
        """Observed relative loss of the metric; negative for a gain."""
        return self.metric.relative_loss(self._original.value, self._spiking.value)

    @property
    def bound(self) -> float:
        """Relative loss that another sample of the same size exceeds with a probability of 5 % (module docstring)."""
        if self.metric.counts_decisions:
            rate, items = self._flip_rate()
            deviation, original = math.sqrt(rate / items), abs(self._original.value)
            if self.metric.needs_labels:
                return CONFIDENCE * deviation / original
            return max(self.relative, (rate + CONFIDENCE * deviation) / original)
        changes = self._spiking.evidence - self._original.evidence
        deviation = float(changes.std()) / math.sqrt(changes.size)
        # Scores that should be low are exponentials of a mean, whose relative change is the change of the mean.
        relative = deviation / abs(self._original.value) if self.metric.higher_is_better else deviation
        return self.relative + math.sqrt(2.0) * CONFIDENCE * relative

    def _flip_rate(self) -> tuple[float, int]:
        """The expected rate of prediction flips, and the number of predictions."""
        margins = np.concatenate(self._margins)
        spread = math.sqrt(float(np.mean(np.concatenate(self._changes) ** 2)))
        rate = min(RESOLVED_FLIPS / margins.size, LARGEST_RATE)
        resolved = max(spread, _spread_at_rate(margins, rate))
        flips = float(_upper_tail(margins / resolved).mean()) * spread / resolved if resolved > 0.0 else 0.0
        return flips, margins.size


def distortion(expected: NDArray[Any], got: NDArray[Any], *, decisive: bool) -> float:
    """Distortion of outputs, summed over samples: the squared error, or for logits an approximate KL divergence.

    For logits it is half the variance of their change under the original's softmax probabilities, which equals the
    Kullback-Leibler divergence of the two softmax distributions to second order in the change.

    Args:
        expected: output of the original, [..., classes] for logits.
        got: output of the spiking network, of the same shape.
        decisive: whether the outputs are logits.

    Returns:
        Squared error in squared units of the output, or divergence in nats.
    """
    change = got.astype(np.float64) - expected
    if not decisive:
        return float((change**2).sum())
    exponentials = np.exp(expected - expected.max(axis=-1, keepdims=True), dtype=np.float64)
    probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
    mean = (probabilities * change).sum(axis=-1, keepdims=True)
    return float((probabilities * (change - mean) ** 2).sum()) / 2.0


def _margins(expected: NDArray[Any], got: NDArray[Any]) -> tuple[Float64, Float64]:
    """Margins between the original's two largest outputs, float64 [rows], and their changes in the spiking network."""
    flat, spiking = (array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (expected, got))
    top = np.argpartition(flat, -2, axis=-1)[:, -2:]
    (low, high), (new_low, new_high) = (np.take_along_axis(array, top, axis=-1).T for array in (flat, spiking))
    return np.abs(high - low), (new_high - new_low) - (high - low)


def _spread_at_rate(margins: Float64, rate: float) -> float:
    """Standard deviation of margin changes for an expected flip rate of `rate`, by bisection to a relative 1e-3."""
    low, high = float(margins.min()), 2.0 * float(margins.max())
    while high - low > 1e-3 * high:
        middle = (low + high) / 2.0
        above = middle > 0.0 and _upper_tail(margins / middle).mean() > rate
        low, high = (low, middle) if above else (middle, high)
    return high


def _upper_tail(deviations: Float64) -> Float64:
    """Q: the probability that a standard normal variable exceeds `deviations` >= 0, to within 1e-7.

    Source: M. Abramowitz and I. A. Stegun, *Handbook of Mathematical Functions*, formula 26.2.17.
    """
    t = 1.0 / (1.0 + 0.2316419 * deviations)
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail: Float64 = series * np.exp(-0.5 * deviations**2) / math.sqrt(2.0 * math.pi)
    return tail

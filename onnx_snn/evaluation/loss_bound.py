# SPDX-License-Identifier: Apache-2.0
"""The loss of a spiking network on a sample of data, and an upper bound of it for other samples of the same size.

A few hundred samples do not resolve tenths of a per cent of accuracy: one decision is 0.2 % of 500. So beside the loss
that is observed there is a one-sided prediction bound: another sample of n items exceeds it with a probability of 5 %.
All of it rests on normal approximations, with z = 1.645 the 95 % quantile.

**Decisions** (accuracy, agreement). The margin m_i >= 0 of row i is the difference of the two largest outputs of the
original. The spiking network changes it by about N(0, s**2), where s is the root mean square of the observed changes,
and so flips the prediction with the probability Q(m_i / s), Q being the upper tail of the normal distribution. The
expected rate of prediction flips is

    r(s) = 1/n * sum_i Q(m_i / s)

When only a handful of flips is expected, r hangs on the few smallest margins. The density of margins is about constant
near zero, so that r is in proportion to s there: r is evaluated at a larger s_0, at which RESOLVED_FLIPS are expected,
and r(s) = r(s_0) * s / s_0.

- With labels, a flip makes a decision right or wrong alike. The change of accuracy has mean 0 and variance r / n. What
  was observed of it is one draw from that distribution and does not enter: the bound is z * sqrt(r / n).
- Without labels, every flip is a loss. The rate of flips in a sample has mean r and, as of a Poisson process, variance
  r / n: the bound is r + z * sqrt(r / n), or what was observed if that is more.

**Other scores** are means of one value for each item. The observed mean change and that of another sample differ with
twice the variance of either: the bound is the observed loss + z * sqrt(2) * its standard error (prediction bound for
the mean of a future sample: G. J. Hahn and W. Q. Meeker, *Statistical Intervals*, Wiley, 1991, chapter 4). A score that
is the exponential of such a mean changes, relative to itself, by as much as the mean (the delta method).
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
"""Standard deviations above its mean that a normal variable exceeds with a probability of 5 %."""

RESOLVED_FLIPS = 10
"""Expected prediction flips that tell their rate to within a third: the relative deviation of a count of 10."""

LARGEST_RATE = 0.25
"""Largest rate of flips at which it is evaluated, for small samples: changes of any size flip half of the decisions."""


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
        """Relative loss that another sample of this size exceeds with a probability of 5 % (see the module)."""
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
    """Distortion of outputs, summed over samples: the squared error, or for logits the divergence that it makes.

    Args:
        expected: output of the original.
        got: output of the spiking network.
        decisive: outputs are logits. Then it is half the variance of their change under the original's softmax
            probabilities: to second order the Kullback-Leibler divergence of the two distributions (S. Kullback,
            *Information Theory and Statistics*, Wiley, 1959, chapter 2).
    """
    change = got.astype(np.float64) - expected
    if not decisive:
        return float((change**2).sum())
    exponentials = np.exp(expected - expected.max(axis=-1, keepdims=True), dtype=np.float64)
    likely = exponentials / exponentials.sum(axis=-1, keepdims=True)
    mean = (likely * change).sum(axis=-1, keepdims=True)
    return float((likely * (change - mean) ** 2).sum()) / 2.0


def _margins(expected: NDArray[Any], got: NDArray[Any]) -> tuple[Float64, Float64]:
    """Margins [rows] between the two largest outputs of the original, and by how much they changed [rows]."""
    flat, spiking = (array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (expected, got))
    top = np.argpartition(flat, -2, axis=-1)[:, -2:]
    (low, high), (new_low, new_high) = (np.take_along_axis(array, top, axis=-1).T for array in (flat, spiking))
    return np.abs(high - low), (new_high - new_low) - (high - low)


def _spread_at_rate(margins: Float64, rate: float) -> float:
    """The standard deviation of changes, to within 1e-3, at which `rate` of the predictions flip; by bisection."""
    low, high = float(margins.min()), 2.0 * float(margins.max())
    while high - low > 1e-3 * high:
        middle = (low + high) / 2.0
        above = middle > 0.0 and _upper_tail(margins / middle).mean() > rate
        low, high = (low, middle) if above else (middle, high)
    return high


def _upper_tail(deviations: Float64) -> Float64:
    """Q: the probability that a standard normal variable exceeds `deviations` >= 0, to within 1e-7.

    M. Abramowitz and I. A. Stegun, *Handbook of Mathematical Functions*, formula 26.2.17.
    """
    t = 1.0 / (1.0 + 0.2316419 * deviations)
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail: Float64 = series * np.exp(-0.5 * deviations**2) / math.sqrt(2.0 * math.pi)
    return tail

# SPDX-License-Identifier: Apache-2.0
"""Observed loss of a spiking network on a sample of data, and an upper confidence bound of its loss on other data.

The bound is one-sided, at a confidence of 95 %: of twenty samples of tuning data, the bounds of nineteen are at least
the loss on all other data of the same kind. It is never below the observed loss.

**Predictions** (accuracy, F1, agreement). What counts are the predictions that the conversion changes: right ones lost,
b, and won, c. Two bounds of the expected loss (b - c) / n are at hand:

- By the margins of *all* predictions, changed or not, a model tells how many flips to expect, and labels tell which
  part of them is lost on balance (`onnx_snn.evaluation.flip_model`). It resolves hundredths of a per cent with hundreds
  of labels. Further samples without labels sharpen the rate of flips.
- By the counts b and c alone, without any model (`onnx_snn.evaluation.paired_bounds`). With nothing lost in n samples
  it is 3 / n.

The first one holds where the model does: as long as no more flips are seen than it allows for. Otherwise the second one
is taken. Without labels every flip is a loss.

The bound of macro F1 lies as far above the observed loss as that of accuracy does.

**Other scores** are means of one value per item; the bound is the observed loss plus z = 1.645 times the standard
error of the mean change, and more where the changes have a long tail of losses: the mean of few samples then mostly
misses the tail (N. J. Johnson, "Modified t tests and confidence intervals for asymmetrical populations", *Journal of
the American Statistical Association* 73, 1978). For a score that is the exponential of such a mean, the relative change
is the change of the mean, to first order (delta method).

On other data of m items the observed loss varies too. `Loss.bound_for` gives the bound of it (a prediction bound: G. J.
Hahn and W. Q. Meeker, *Statistical Intervals*, Wiley, 1991), which is wider for fewer items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float64
from onnx_snn.data.batches import IGNORED_LABEL
from onnx_snn.evaluation.divergence import kl_divergence
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.evaluation.flip_model import FlipModel
from onnx_snn.evaluation.metrics import Metric, Score
from onnx_snn.evaluation.paired_bounds import CONFIDENCE, deviations, paired_upper_bound


@dataclass
class Loss:
    """Loss of one spiking network relative to its original, accumulated over batches.

    Attributes:
        metric: task metric.
        difference: error statistics of the output.
        lost: number of predictions that only the original gets right.
        won: number of predictions that only the spiking network gets right.
        judged: number of predictions with a label; without a metric of labels, of all.
    """

    metric: Metric
    difference: Difference = field(default_factory=Difference)
    lost: int = 0
    won: int = 0
    judged: int = 0

    def __post_init__(self) -> None:
        self._original, self._spiking = Score(self.metric), Score(self.metric)
        self._flips = FlipModel()
        self._divergence, self._rows = 0.0, 0

    def add(self, expected: NDArray[Any], got: NDArray[Any], labels: NDArray[Any] | None) -> None:
        """Add one batch.

        Args:
            expected: output of the original.
            got: output of the spiking network.
            labels: the labels, if any. A batch without, for a metric that needs them, counts for the divergence, for
                the expected rate of flips, and for the output error, but not for the score.

        Raises:
            CalibrationError: the labels do not fit the output.
        """
        self.difference.add(expected, got)
        scored = labels is not None or not self.metric.needs_labels
        if scored:
            self._original.add(expected, expected, labels)
            self._spiking.add(got, expected, labels)
        if self.metric.decisive:
            divergence = kl_divergence(expected, got)
            self._divergence += float(divergence.sum())
            self._rows += divergence.size
        if self.metric.counts_decisions:
            self._decide(expected, got, labels if self.metric.needs_labels else expected.argmax(axis=-1))

    def _decide(self, expected: NDArray[Any], got: NDArray[Any], correct: NDArray[Any] | None) -> None:
        """Count the predictions of a batch against the right classes, if these are known."""
        self._flips.add(expected, got, correct)
        if correct is not None:
            known = correct != IGNORED_LABEL
            before, after = (array.argmax(axis=-1)[known] == correct[known] for array in (expected, got))
            self.lost += int((before & ~after).sum())
            self.won += int((after & ~before).sum())
            self.judged += int(known.sum())

    @property
    def relative(self) -> float:
        """Observed relative loss of the metric; negative for a gain."""
        return self.metric.relative_loss(self._original.value, self._spiking.value)

    @property
    def divergence(self) -> float:
        """Mean Kullback-Leibler divergence of the predictions in nats; NaN for other outputs than logits."""
        return self._divergence / self._rows if self._rows else math.nan

    @property
    def flip_rate(self) -> float:
        """Expected rate of prediction flips by the margins of all samples; NaN if the metric judges no predictions."""
        return self._flips.rate if self.metric.counts_decisions else math.nan

    @property
    def bound(self) -> float:
        """Upper confidence bound of the expected relative loss on other data (module docstring)."""
        return self.bound_for(math.inf)

    def bound_for(self, items: float, *, confidence: float = CONFIDENCE) -> float:
        """Upper confidence bound of the relative loss that is observed on other data.

        Args:
            items: number of other predictions or samples; infinity for the expected loss.
            confidence: one-sided confidence.
        """
        if self.metric.counts_decisions:
            return self.relative + self._decision_margin(items, confidence) / abs(self._original.value)
        worse = self._spiking.evidence - self._original.evidence
        if self.metric.higher_is_better:
            # Scores that should be low are exponentials of a mean, whose relative change is the change of the mean.
            worse = -worse / abs(self._original.value)
        return self.relative + _margin_of_mean(worse, items, deviations(confidence))

    def smooth_bound_for(self, items: float, *, confidence: float = CONFIDENCE) -> float:
        """The bound by the margins of predictions alone, whether or not more of them flip than these explain.

        It falls with the error at the output, where `bound_for` jumps with single predictions. For metrics that judge
        no predictions the two are the same.
        """
        if not self.metric.counts_decisions:
            return self.bound_for(items, confidence=confidence)
        return self._flips.net_bound(future=items, confidence=confidence) / abs(self._original.value)

    def _decision_margin(self, items: float, confidence: float) -> float:
        """How far the bound of the loss of accuracy is above the observed loss, as a fraction of the predictions."""
        if self._flips.plausible:
            bound = self._flips.net_bound(future=items, confidence=confidence)
        else:
            bound = paired_upper_bound(self.lost, self.won, self.judged, future=items, confidence=confidence)
        return max(0.0, bound - (self.lost - self.won) / self.judged)


def _margin_of_mean(losses: Float64, items: float, z: float) -> float:
    """How far the upper bound of a mean loss is above the mean of `losses`, float64 [n], by their spread and skewness.

    Args:
        losses: loss of each item.
        items: number of other items whose mean is bounded.
        z: quantile of the normal distribution for the confidence.
    """
    spread = float(losses.std())
    if spread == 0.0:
        return 0.0
    skewness = float(np.mean((losses - losses.mean()) ** 3)) / spread**3
    tail = max(skewness, 0.0) * (1.0 + 2.0 * z**2) / 6.0
    return spread * (z * math.sqrt(1.0 / losses.size + 1.0 / items) + tail / losses.size)

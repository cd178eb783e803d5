# SPDX-License-Identifier: Apache-2.0
"""What a spiking network loses, and what it can lose on other data.

A few hundred samples do not resolve tenths of a per cent of accuracy: one decision is 0.2 % of 500. So beside the loss
that is seen there is a *bound*, below which it stays with a confidence of 95 % on other data of this size.

- How many decisions turn is not counted but expected: with margins m between the two largest outputs and changes of
  margins of size s, their share is the mean of the normal tail beyond m / s. Where that is a handful, it hangs on the
  one margin that happens to be the smallest; but small shares are in proportion to s, and so it is taken from a larger
  s. Decisions turn to right and to wrong alike: the loss is normal about zero, and what was seen of it is one draw.
  Where there are no labels each of them is a loss.
- Other scores move by what is seen, give or take its deviation, here and on the other data.
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
"""Deviations of a normal variable that it exceeds once in twenty times."""

RESOLVED = 10
"""Turned decisions that tell their share to within a third."""

LARGEST_SHARE = 0.25
"""Of few decisions: half of them turn by changes of any size."""


@dataclass
class Loss:
    """Loss of one spiking network beside its original, over batches.

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
        """Relative loss that other data of this size exceed once in twenty times."""
        if self.metric.counts_decisions:
            turned, items = self._turned()
            deviation, original = math.sqrt(turned / items), abs(self._original.value)
            if self.metric.needs_labels:
                return CONFIDENCE * deviation / original
            return max(self.relative, (turned + CONFIDENCE * deviation) / original)
        changes = self._spiking.evidence - self._original.evidence
        deviation = float(changes.std()) / math.sqrt(changes.size)
        # The relative change of an exponential is the change of what is in it.
        relative = deviation / abs(self._original.value) if self.metric.higher_is_better else deviation
        return self.relative + math.sqrt(2.0) * CONFIDENCE * relative

    def _turned(self) -> tuple[float, int]:
        """Share of decisions that turn, and their number."""
        margins = np.concatenate(self._margins)
        spread = math.sqrt(float(np.mean(np.concatenate(self._changes) ** 2)))
        share = min(RESOLVED / margins.size, LARGEST_SHARE)
        resolved = max(spread, _spread_that_turns(margins, share))
        turned = float(_tail(margins / resolved).mean()) * spread / resolved if resolved > 0.0 else 0.0
        return turned, margins.size


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


def _spread_that_turns(margins: Float64, share: float) -> float:
    """Size of changes, to within 1e-3, that turn this share of the decisions."""
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

# SPDX-License-Identifier: Apache-2.0
"""Expected flips of predictions under a normal margin model, and the part of them that costs accuracy.

A few hundred samples do not show how often a conversion changes a prediction: of 500 samples, one is 0.2 %. Margins do.
The margin m_i >= 0 of row i is the difference of the original's two largest outputs. Its change by the conversion is
modelled as N(0, s**2), so that the prediction of row i flips with probability Q(m_i / s), where Q is the upper tail of
the standard normal distribution. Without any label, the expected rate of flips is

    r(s) = 1/n * sum_i Q(m_i / s)

The spread s is the root mean square of the observed changes, or, where they rather shrink margins than widen them, the
spread of a normal distribution that shrinks them as much in the mean.

Not every flip is a loss: it turns a right prediction into a wrong one (d_i = 1), a wrong one into the right one
(d_i = -1), or one wrong prediction into another (d_i = 0). A flip is most likely where the margin is small, and there
the original is right hardly more often than its second choice is. So the net share of lost predictions among the flips,

    a(s) = sum_i d_i Q(m_i / s) / sum_i Q(m_i / s)        over the labelled rows,

is small, and is all that needs labels: r(s) a(s) is the expected loss of accuracy. Weighting every labelled row by the
probability that it flips, in place of counting the ones that did, is the Rao-Blackwell estimate under the model
(C. R. Rao 1945, D. Blackwell 1947), and has about a third of the variance.

If only a few flips are expected, r and a depend on the few smallest margins and are noisy. The density of margins is
about constant near zero, so r is proportional to s there, and a does not fall with s, since the original is the more
often right the larger the margin is. Therefore both are evaluated at a larger spread s_0, at which `RESOLVED_FLIPS` are
expected, and r(s) = r(s_0) * s / s_0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float64
from onnx_snn.evaluation.paired_bounds import CONFIDENCE, binomial_cdf, deviations

RESOLVED_FLIPS = 10
"""Number of expected flips at which rate and net share are evaluated: the rate then has a relative standard deviation
of a sixth."""

LARGEST_RATE = 0.1
"""Largest rate of flips, as a fraction of the predictions, to which the spread is raised in small samples: beyond it,
few margins are near zero."""

NEGLIGIBLE = 1e-9
"""Least spread that is looked for, as a fraction of the largest margin."""

SQUARES = 1.0 - math.sqrt(0.5)
"""Ratio of the sum of Q**2 to the sum of Q over evenly spread margins: 1 - 1/sqrt(2), about 0.29."""


@dataclass
class FlipModel:
    """The margin model of one spiking network, accumulated over batches.

    Attributes:
        flips: number of predictions that were seen to change.
    """

    flips: int = 0
    _margins: list[Float64] = field(default_factory=list)
    _changes: list[Float64] = field(default_factory=list)
    _directions: list[Float64] = field(default_factory=list)

    def add(self, expected: NDArray[Any], got: NDArray[Any], correct: NDArray[Any] | None) -> None:
        """Add one batch.

        Args:
            expected: output of the original, [..., classes].
            got: output of the spiking network, of the same shape.
            correct: the right class of each row, [...], negative where it is not known; None where none is.
        """
        flat, spiking = (array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (expected, got))
        top = flat.argmax(axis=-1)
        others = flat.copy()
        np.put_along_axis(others, top[:, None], -np.inf, axis=-1)
        second = others.argmax(axis=-1)
        before, after = (_differences(array, top, second) for array in (flat, spiking))
        self.flips += int((spiking.argmax(axis=-1) != top).sum())
        self._margins.append(before)
        self._changes.append(after - before)
        classes = np.full(len(top), -1) if correct is None else np.asarray(correct).ravel()
        directions = (classes == top).astype(np.float64) - (classes == second)
        self._directions.append(np.where(classes < 0, np.nan, directions))

    @property
    def margins(self) -> Float64:
        """Margins of all rows, float64 [rows]."""
        return np.concatenate(self._margins)

    @property
    def spread(self) -> float:
        """The spread s of the changes of margins."""
        changes = np.concatenate(self._changes)
        shrinking = math.sqrt(2.0 * math.pi) * float(np.maximum(-changes, 0.0).mean())
        return max(math.sqrt(float(np.mean(changes**2))), shrinking)

    @property
    def rate(self) -> float:
        """The expected rate of flips r, a fraction of all rows; needs no labels."""
        return self._rate()[0]

    @property
    def plausible(self) -> bool:
        """Whether the flips that were seen are not more than the model allows for, at a confidence of 95 %."""
        rows = sum(map(len, self._margins))
        return 1.0 - binomial_cdf(self.flips - 1, rows, self._modelled()[0]) >= 1.0 - CONFIDENCE

    def net_bound(self, *, future: float = math.inf, confidence: float = CONFIDENCE) -> float:
        """Upper bound of the loss of accuracy, as a fraction of the rows.

        Args:
            future: number of other rows whose observed loss is bounded; by default infinitely many, so that the
                expected loss is.
            confidence: one-sided confidence.
        """
        z, (rate, rate_deviation) = deviations(confidence), self._rate()
        share, share_deviation = self._share()
        sampling = (rate + z * rate_deviation) / future
        net = math.hypot(rate * share_deviation, share * rate_deviation, math.sqrt(sampling))
        every = math.hypot(rate_deviation, math.sqrt(sampling))
        return min(rate * share + z * net, rate + z * every)

    def _rate(self) -> tuple[float, float]:
        """`_modelled`, raised to the rate of the flips that were seen where these are more, and enough to tell."""
        rate, deviation = self._modelled()
        seen = self.flips / sum(map(len, self._margins))
        factor = seen / rate if self.flips > RESOLVED_FLIPS and seen > rate > 0.0 else 1.0
        return factor * rate, factor * deviation

    def _modelled(self) -> tuple[float, float]:
        """The rate of flips that margins and their changes suggest, and its standard deviation by their sampling."""
        margins, spread = self.margins, self.spread
        resolved = _resolved(margins, spread)
        if not resolved:
            return 0.0, 0.0
        chances = upper_tail(margins / resolved)
        scale = spread / resolved / margins.size
        return float(chances.sum()) * scale, math.sqrt(float((chances**2).sum())) * scale

    def _share(self) -> tuple[float, float]:
        """The net share of lost predictions among the flips, and its standard deviation; 1 and 0 without labels."""
        directions = np.concatenate(self._directions)
        labelled = ~np.isnan(directions)
        if not labelled.any() or bool((directions[labelled] == 1.0).all()):
            return 1.0, 0.0
        margins = self.margins[labelled]
        resolved = _resolved(margins, self.spread)
        if not resolved:
            return 1.0, 0.0
        chances = upper_tail(margins / resolved)
        total = float(chances.sum())
        # The directions vary by 1 at most: taken as that, for few of them may all be the same by chance.
        return float((chances * directions[labelled]).sum()) / total, math.sqrt(float((chances**2).sum())) / total


def samples_needed(target: float, rate: float, *, accuracy: float = 1.0, confidence: float = CONFIDENCE) -> int:
    """Number of labelled samples with which the bound of a loss is within a target, if in truth nothing is lost.

    It inverts `FlipModel.net_bound` for margins that are spread evenly near zero and flips that are lost and won
    equally often.

    Args:
        target: largest relative loss of accuracy, such as 0.002.
        rate: expected rate of flips, a fraction of the predictions: `FlipModel.rate`, or a typical one.
        accuracy: accuracy of the original.
        confidence: one-sided confidence of the bound.

    Returns:
        The number; 0 where every flip may be a loss.
    """
    allowed = target * accuracy
    if rate <= allowed:
        return 0
    # The share of the flips that is lost on balance has a standard deviation of sqrt(SQUARES / flips), and a single
    # lost prediction must be within the target.
    flips = SQUARES * (deviations(confidence) * rate / allowed) ** 2
    return math.ceil(max(flips / (LARGEST_RATE if flips <= RESOLVED_FLIPS else rate), 1.0 / allowed))


def upper_tail(deviation: Float64) -> Float64:
    """Q: the probability that a standard normal variable exceeds `deviation` >= 0, to within 1e-7.

    Source: M. Abramowitz and I. A. Stegun, *Handbook of Mathematical Functions*, formula 26.2.17.
    """
    t = 1.0 / (1.0 + 0.2316419 * deviation)
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail: Float64 = series * np.exp(-0.5 * deviation**2) / math.sqrt(2.0 * math.pi)
    return tail


def _differences(array: Float64, first: NDArray[Any], second: NDArray[Any]) -> Float64:
    """Output of the class `first` minus that of the class `second` of each row, float64 [rows]."""
    rows = np.arange(len(array))
    return np.asarray(array[rows, first] - array[rows, second], np.float64)


def _resolved(margins: Float64, spread: float) -> float:
    """The spread at which the rate of flips is resolved: `spread`, or a larger one."""
    return max(spread, _spread_at_rate(margins, min(RESOLVED_FLIPS / margins.size, LARGEST_RATE)))


def _spread_at_rate(margins: Float64, rate: float) -> float:
    """Standard deviation of margin changes for an expected flip rate of `rate`, by bisection to a relative 1e-3."""
    high = 2.0 * float(margins.max())
    low = NEGLIGIBLE * high
    while high - low > 1e-3 * high:
        middle = (low + high) / 2.0
        above = upper_tail(margins / middle).mean() > rate
        low, high = (low, middle) if above else (middle, high)
    return high

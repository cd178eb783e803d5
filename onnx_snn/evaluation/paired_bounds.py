# SPDX-License-Identifier: Apache-2.0
"""Confidence bounds for a change of accuracy that is observed on the same items before and after: paired decisions.

Of n labelled items, b are right in the original and wrong in the spiking network (lost), c the other way round (won).
The loss of accuracy is estimated by (b - c) / n. Only these two counts matter, whatever the accuracy is.

Limits of each count alone are exact: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits
illustrated in the case of the binomial", *Biometrika* 26, 1934. The bound of the difference is made of them by
recovering their variances, which keeps their asymmetry for small counts and becomes the normal bound for large ones:
R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired data",
*Statistics in Medicine* 17, 1998; G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: a
general approach", *Statistics in Medicine* 27, 2008, equation 10.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from onnx_snn.arrays import Float64

CONFIDENCE = 0.95
"""Confidence of all bounds unless another one is asked for."""

BISECTIONS = 60
"""Number of bisections of the probability for a limit: below the resolution of float64."""


def deviations(confidence: float) -> float:
    """Quantile of the standard normal distribution for a one-sided `confidence`, in standard deviations."""
    return NormalDist().inv_cdf(confidence)


def binomial_cdf(events: int, items: int, probability: float) -> float:
    """The probability of at most `events` in `items` independent trials of `probability` each."""
    if events < 0 or events >= items:
        return float(events >= items)
    return _cdf(_log_coefficients(events, items), items, probability)


def upper_limit(events: int, items: int, *, confidence: float = CONFIDENCE) -> float:
    """One-sided upper Clopper-Pearson limit of a probability after `events` in `items` trials."""
    return _probability(events, items, 1.0 - confidence) if events < items else 1.0


def lower_limit(events: int, items: int, *, confidence: float = CONFIDENCE) -> float:
    """One-sided lower Clopper-Pearson limit of a probability after `events` in `items` trials."""
    return _probability(events - 1, items, confidence) if events else 0.0


def paired_upper_bound(
    lost: int, won: int, items: int, *, future: float = math.inf, confidence: float = CONFIDENCE
) -> float:
    """Upper bound of the loss of accuracy, as a fraction of the items.

    Args:
        lost: number of items that only the original gets right, b.
        won: number of items that only the spiking network gets right, c.
        items: number of items n.
        future: number of other items whose observed loss is bounded; by default infinitely many, so that the expected
            loss is.
        confidence: one-sided confidence.

    Returns:
        The bound, at most 1, and 1 without items.
    """
    if not items:
        return 1.0
    losses, gains = lost / items, won / items
    above = upper_limit(lost, items, confidence=confidence) - losses
    below = gains - lower_limit(won, items, confidence=confidence)
    both = losses * gains
    correlation = -math.sqrt(both / ((1.0 - losses) * (1.0 - gains))) if both else 0.0
    variance = above**2 - 2.0 * correlation * above * below + below**2
    variance += deviations(confidence) ** 2 * (losses + above + gains) / future
    return min(1.0, losses - gains + math.sqrt(variance))


def _probability(events: int, items: int, value: float) -> float:
    """The probability at which `binomial_cdf`, which falls with it, is `value`."""
    coefficients = _log_coefficients(events, items)
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if _cdf(coefficients, items, middle) < value else (middle, high)
    return high


def _log_coefficients(events: int, items: int) -> Float64:
    """Natural logarithms of the binomial coefficients of `items` over 0 to `events`, float64 [events + 1]."""
    j = np.arange(1, events + 1)
    return np.concatenate([[0.0], np.cumsum(np.log((items - j + 1) / j))])


def _cdf(coefficients: Float64, items: int, probability: float) -> float:
    """`binomial_cdf` for fewer events than items, from `_log_coefficients`."""
    if probability in (0.0, 1.0):
        return 1.0 - probability
    j = np.arange(len(coefficients))
    return float(np.exp(coefficients + j * math.log(probability) + (items - j) * math.log1p(-probability)).sum())

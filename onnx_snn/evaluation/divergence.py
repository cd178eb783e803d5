# SPDX-License-Identifier: Apache-2.0
"""Distances between the outputs of two networks that need no labels: squared error, Kullback-Leibler divergence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float64


def kl_divergence(expected: NDArray[Any], got: NDArray[Any]) -> Float64:
    """Kullback-Leibler divergence of the softmax distributions of two networks, by row.

    Args:
        expected: logits of the original, [..., classes].
        got: logits of the spiking network, of the same shape.

    Returns:
        sum p (log p - log q) in nats, float64 [...], with p of the original and q of the spiking network.
    """
    p, q = _log_softmax(expected), _log_softmax(got)
    with np.errstate(invalid="ignore"):  # a class that the original excludes (a logit of -inf) adds nothing
        terms = np.where(np.isneginf(p), 0.0, np.exp(p) * (p - q))
    return np.asarray(np.maximum(terms.sum(axis=-1), 0.0), np.float64)


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
    probabilities = np.exp(_log_softmax(expected))
    mean = (probabilities * change).sum(axis=-1, keepdims=True)
    return float((probabilities * (change - mean) ** 2).sum()) / 2.0


def _log_softmax(logits: NDArray[Any]) -> Float64:
    """Logarithms of the softmax probabilities over the last axis, float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), np.float64)

# SPDX-License-Identifier: Apache-2.0
"""Task metrics: scores of a network's output, mostly against labels.

    accuracy     labels [...]   output [..., classes]    fraction of correct predictions
    f1           labels [...]   output [..., classes]    macro F1: mean over the classes that occur
    perplexity   labels [...]   output [..., tokens]     exp(mean negative log-likelihood), lower is better
    cosine       no labels                               mean cosine similarity with the original's output, by sample
    agreement    no labels      output [..., classes]    fraction of predictions that equal the original's

Labels of -100 are ignored, as in Transformers. A function of output and labels that returns a score for each sample
(or one for the batch) can be used as a metric: the mean of the scores, higher is better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnx_snn.arrays import Float64
from onnx_snn.data.batches import IGNORED_LABEL
from onnx_snn.errors import CalibrationError, ConfigError

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """A task metric over any number of batches.

    Attributes:
        name: name of the metric in reports.
        evidence: function of output, the original's output and labels of a batch that returns float64, one row for
            each item that is judged: what the score is computed from.
        score: function that computes the score from the evidence of all batches.
        higher_is_better: whether a higher score is better.
        needs_labels: whether the metric needs labels.
        percent: whether reports show the score in percent.
        decisive: whether outputs are logits, whose softmax probabilities weigh their errors.
        counts_decisions: whether the score depends on the output through its argmax only.
    """

    name: str
    evidence: Callable[[Array, Array, Array | None], Float64]
    score: Callable[[Float64], float]
    higher_is_better: bool = True
    needs_labels: bool = True
    percent: bool = False
    decisive: bool = False
    counts_decisions: bool = False

    def figure(self, score: float) -> str:
        """`score` formatted for a terminal."""
        return f"{score:.2%}" if self.percent else f"{score:.4g}" if self.higher_is_better else f"{score:.3f}"

    def relative_loss(self, original: float, spiking: float) -> float:
        """By how much `spiking` is worse than `original`, divided by |original|; NaN if that is 0."""
        worse = original - spiking if self.higher_is_better else spiking - original
        return worse / abs(original) if original else np.nan


MetricLike: TypeAlias = "str | Metric | Callable[[Array, Array | None], Any]"


def metric_of(metric: MetricLike | None, labels: Array | None) -> Metric | None:
    """The metric to use.

    Args:
        metric: name of a metric, a metric, or a function of output and labels; None to choose by the shape of the
            labels: accuracy for labels [samples], perplexity for labels [samples, length], no metric without labels.
        labels: the labels; None if there are none.

    Raises:
        ConfigError: no metric has that name.
        CalibrationError: the metric needs labels, and there are none.
    """
    if metric is None:
        if labels is None:
            return None
        return METRICS["accuracy" if labels.ndim == 1 else "perplexity"]
    if isinstance(metric, str):
        if metric not in METRICS:
            raise ConfigError(f"metric is {metric!r}; expected one of {sorted(METRICS)}, or a function from Python")
        metric = METRICS[metric]
    elif not isinstance(metric, Metric):
        metric = _custom(metric)
    if metric.needs_labels and labels is None:
        raise CalibrationError(f"metric {metric.name!r} needs labels; add an array `labels` to the data")
    return metric


@dataclass
class Score:
    """Accumulates the score of one network over batches.

    Attributes:
        metric: the task metric.
        batches: evidence of each batch.
    """

    metric: Metric
    batches: list[Float64] = field(default_factory=list)

    def add(self, output: Array, original: Array, labels: Array | None) -> None:
        """Add one batch: output of the network, output of the original, and labels, if any."""
        self.batches.append(self.metric.evidence(output, original, labels))

    @property
    def evidence(self) -> Float64:
        """Evidence of all batches, one row for each item."""
        return np.concatenate(self.batches)

    @property
    def value(self) -> float:
        """The score over all batches; NaN if no item was judged."""
        evidence = self.evidence
        return self.metric.score(evidence) if len(evidence) else np.nan


def _custom(function: Callable[[Array, Array | None], Any]) -> Metric:
    """The metric that a function of output and labels defines by its mean."""
    name = getattr(function, "__name__", type(function).__name__)
    return Metric(name, _Scores(name, function), _mean, needs_labels=False)


@dataclass(frozen=True)
class _Scores:
    """The evidence of a metric that a function of output and labels gives; it can be pickled where the function can."""

    name: str
    function: Callable[[Array, Array | None], Any]

    def __call__(self, output: Array, _: Array, labels: Array | None) -> Float64:
        scores = np.atleast_1d(np.asarray(self.function(output, labels), np.float64)).ravel()
        if not np.isfinite(scores).all():
            invalid = scores[~np.isfinite(scores)][0]
            raise CalibrationError(f"the metric {self.name!r} returned {invalid} for a batch; expected finite scores")
        return scores


def _mean(evidence: Float64) -> float:
    return float(evidence.mean())


def _judged(output: Array, labels: Array | None) -> tuple[Array, Array]:
    """Outputs [items, classes] and labels [items] of the items whose label is not `IGNORED_LABEL`.

    Raises:
        CalibrationError: the labels do not fit the output.
    """
    assert labels is not None, "metric_of has checked that there are labels"
    if labels.shape != output.shape[:-1]:
        raise CalibrationError(
            f"labels have shape {labels.shape} for an output of shape {output.shape}; expected {output.shape[:-1]}"
        )
    used, classes = labels != IGNORED_LABEL, output.shape[-1]
    if labels.dtype.kind not in "iu" or not ((labels[used] >= 0) & (labels[used] < classes)).all():
        raise CalibrationError(
            f"labels must be integers from 0 to {classes - 1}, the classes of the output, or {IGNORED_LABEL} for items "
            "to ignore"
        )
    return output[used], labels[used]


def _correct(output: Array, _: Array, labels: Array | None) -> Float64:
    output, labels = _judged(output, labels)
    return np.asarray(output.argmax(axis=-1) == labels, np.float64)


def _decisions(output: Array, _: Array, labels: Array | None) -> Float64:
    output, labels = _judged(output, labels)
    return np.stack([labels, output.argmax(axis=-1)], axis=-1).astype(np.float64)


def _macro_f1(decisions: Float64) -> float:
    """Mean F1 over the classes that occur; `decisions` is [items, 2], label and prediction."""
    classes, indices = np.unique(decisions, return_inverse=True)
    labels, predictions = indices.reshape(decisions.shape).T
    confusion = np.zeros((len(classes), len(classes)))
    np.add.at(confusion, (labels, predictions), 1.0)
    return float((2.0 * confusion.diagonal() / (confusion.sum(axis=0) + confusion.sum(axis=1))).mean())


def _negative_log_likelihood(output: Array, _: Array, labels: Array | None) -> Float64:
    output, labels = _judged(output, labels)
    logits = output.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
    losses: Float64 = np.log(np.exp(logits).sum(axis=-1)) - chosen
    return losses


def _perplexity(losses: Float64) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(losses.mean()))


def _cosines(output: Array, original: Array, _: Array | None) -> Float64:
    a, b = (array.reshape(len(array), -1).astype(np.float64) for array in (output, original))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: Float64 = (a * b).sum(axis=1) / np.where(norms > 0.0, norms, 1.0)
    return cosines


def _agreeing(output: Array, original: Array, _: Array | None) -> Float64:
    return np.asarray(output.argmax(axis=-1) == original.argmax(axis=-1), np.float64).ravel()


_DECISIONS: dict[str, Any] = {"percent": True, "decisive": True, "counts_decisions": True}
"""Attributes of the metrics that judge predictions."""

METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _correct, _mean, **_DECISIONS),
        Metric("f1", _decisions, _macro_f1, **_DECISIONS),
        Metric("perplexity", _negative_log_likelihood, _perplexity, higher_is_better=False, decisive=True),
        Metric("cosine", _cosines, _mean, needs_labels=False),
        Metric("agreement", _agreeing, _mean, needs_labels=False, **_DECISIONS),
    )
}
"""The task metrics, by their names."""

# SPDX-License-Identifier: Apache-2.0
"""Task metrics: how well outputs answer the user's labels.

    accuracy     labels [...]   output [..., classes]    share of right decisions
    f1           labels [...]   output [..., classes]    mean F1 over the classes that occur
    perplexity   labels [...]   output [..., tokens]     exp(mean negative log-likelihood), lower is better
    cosine       no labels                               mean cosine similarity with the original's output, by sample
    agreement    no labels      output [..., classes]    share of decisions that are those of the original

Labels of -100 are left out, as in Transformers. A function of output and labels that returns a number for each sample
(or one for the batch) is a metric as well: its mean, higher is better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnx_snn.errors import CalibrationError, ConfigError

Array: TypeAlias = NDArray[Any]
Float64: TypeAlias = NDArray[np.float64]

IGNORED_LABEL = -100


@dataclass(frozen=True)
class Metric:
    """A task metric over any number of batches.

    Attributes:
        name: for reports.
        evidence: of output, the original's output and labels, one row for each item that is judged.
        score: of the evidence of all batches.
        higher_is_better: whether a higher score is better.
        needs_labels: whether there is no evidence without labels.
        percent: whether reports show the score in percent.
        decisive: whether outputs are logits, of which likely classes alone matter.
        counts_decisions: whether the score changes only where a decision does.
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
        """`score` for a terminal."""
        return f"{score:.2%}" if self.percent else f"{score:.4g}" if self.higher_is_better else f"{score:.3f}"

    def relative_loss(self, original: float, spiking: float) -> float:
        """How much worse `spiking` is than `original`, relative to it; negative: better."""
        worse = original - spiking if self.higher_is_better else spiking - original
        return worse / abs(original) if original else np.nan


MetricLike: TypeAlias = "str | Metric | Callable[[Array, Array | None], Any]"


def metric_of(metric: MetricLike | None, labels: Array | None) -> Metric | None:
    """The metric that was asked for; by default accuracy for one label a sample, perplexity for more.

    Raises:
        ConfigError: no metric has that name.
        CalibrationError: it needs labels, and there are none.
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
    """The running score of one network."""

    metric: Metric
    batches: list[Float64] = field(default_factory=list)

    def add(self, output: Array, original: Array, labels: Array | None) -> None:
        """Judge one batch."""
        self.batches.append(self.metric.evidence(output, original, labels))

    @property
    def evidence(self) -> Float64:
        """That of all batches, one row for each item."""
        return np.concatenate(self.batches)

    @property
    def value(self) -> float:
        """The score; NaN where nothing was judged."""
        evidence = self.evidence
        return self.metric.score(evidence) if len(evidence) else np.nan


def _custom(function: Callable[[Array, Array | None], Any]) -> Metric:
    def evidence(output: Array, _: Array, labels: Array | None) -> Float64:
        scores = np.atleast_1d(np.asarray(function(output, labels), np.float64)).ravel()
        if not np.isfinite(scores).all():
            raise CalibrationError(f"the metric returned {scores[~np.isfinite(scores)][0]} for a batch")
        return scores

    name = getattr(function, "__name__", type(function).__name__)
    return Metric(name, evidence, _mean, needs_labels=False)


def _mean(evidence: Float64) -> float:
    return float(evidence.mean())


def _judged(output: Array, labels: Array | None) -> tuple[Array, Array]:
    """Outputs [items, classes] and labels [items] of the items that have one.

    Raises:
        CalibrationError: the labels do not fit the output.
    """
    assert labels is not None, "metric_of has seen to it"
    if labels.shape != output.shape[:-1]:
        raise CalibrationError(
            f"labels have shape {labels.shape} for an output of shape {output.shape}; expected {output.shape[:-1]}"
        )
    used, classes = labels != IGNORED_LABEL, output.shape[-1]
    if labels.dtype.kind not in "iu" or not ((labels[used] >= 0) & (labels[used] < classes)).all():
        raise CalibrationError(
            f"labels are not whole numbers from 0 to {classes - 1}, the classes of the output, or {IGNORED_LABEL}"
        )
    return output[used], labels[used]


def _correct(output: Array, _: Array, labels: Array | None) -> Float64:
    output, labels = _judged(output, labels)
    return np.asarray(output.argmax(axis=-1) == labels, np.float64)


def _decisions(output: Array, _: Array, labels: Array | None) -> Float64:
    output, labels = _judged(output, labels)
    return np.stack([labels, output.argmax(axis=-1)], axis=-1).astype(np.float64)


def _macro_f1(decisions: Float64) -> float:
    """Mean F1 over the classes that occur among labels or decisions; items [n, 2] of label and decision."""
    classes, places = np.unique(decisions, return_inverse=True)
    labels, decided = places.reshape(decisions.shape).T
    counts = np.zeros((len(classes), len(classes)))
    np.add.at(counts, (labels, decided), 1.0)
    return float((2.0 * counts.diagonal() / (counts.sum(axis=0) + counts.sum(axis=1))).mean())


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
"""Metrics by name."""

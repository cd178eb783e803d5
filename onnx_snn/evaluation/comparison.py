# SPDX-License-Identifier: Apache-2.0
"""Comparison of a spiking network with its original on data: task metric, agreement of predictions, output error.

If the data has `labels`, the default task metric is accuracy for labels of shape [samples], and perplexity for labels
of shape [samples, length]; `onnx_snn.evaluation.metrics` has others.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.data.data_files import with_model_folder
from onnx_snn.data.element_types import widened
from onnx_snn.data.feeds import Feeds, Source, open_feeds
from onnx_snn.data.specs import Feed, sample_count, session_specs
from onnx_snn.errors import CalibrationError, ModelError
from onnx_snn.evaluation.class_scores import file_has_class_scores
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.evaluation.metrics import METRICS, Metric, MetricLike, Score, metric_of
from onnx_snn.evaluation.saturation import Saturation, WatchedNetwork, saturation_warning
from onnx_snn.formatting import json_values, screen_table, wrapped
from onnx_snn.runtime.execution import counted_parts, run
from onnx_snn.runtime.finite_outputs import JudgeOfSession
from onnx_snn.runtime.session import session, session_options


@dataclass(frozen=True)
class Evaluation:
    """Result of the comparison of a spiking network with its original.

    Attributes:
        output: name of the output that was compared.
        samples: number of samples.
        metric: name of the task metric, such as "accuracy" or "perplexity"; "" without labels.
        original: value of the metric for the original network; NaN without a metric.
        spiking: value of the metric for the spiking network; NaN without a metric.
        relative_loss: by how much the spiking network is worse, divided by the original's value; negative if it is
            better, NaN without a metric.
        agreement: fraction of rows whose argmax over the last axis is the same in both networks; NaN for an output
            that has no class scores (`onnx_snn.evaluation.class_scores`).
        relative_error: Frobenius norm of the difference of the outputs divided by that of the original's output.
        maximum_error: largest absolute difference of the outputs.
        compared: what of an output that is no tensor is compared; empty for tensors.
        saturation: the nodes of the spiking network at which values are beyond their range, and how many.
    """

    output: str
    samples: int
    metric: str
    original: float
    spiking: float
    relative_loss: float
    agreement: float
    relative_error: float
    maximum_error: float
    compared: str = ""
    saturation: tuple[Saturation, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values; null for NaN and infinity."""
        return json_values(self)

    def text(self) -> str:
        """The figures for a terminal."""
        rows = [
            *([("agreement of predictions", f"{self.agreement:.2%}")] if math.isfinite(self.agreement) else []),
            ("relative error of output", f"{self.relative_error:.2e}"),
            ("maximum error of output", f"{self.maximum_error:.2e}"),
        ]
        if self.metric:
            rows = [
                (f"{self.metric}, original", self._figure(self.original)),
                (f"{self.metric}, spiking", self._figure(self.spiking)),
                ("relative loss", f"{self.relative_loss:.3%}"),
                *rows,
            ]
        what = f" ({self.compared})" if self.compared else ""
        table = screen_table((f"{self.output}{what}, {self.samples} samples", ""), rows)
        warning = saturation_warning(self.saturation)
        return f"{table}\n\n{wrapped(warning)}" if warning else table

    def loss_text(self) -> str:
        """What the spiking network lost, in words."""
        parts = [f"relative error {self.relative_error:.1e} of output {self.output!r}"]
        if math.isfinite(self.agreement):
            parts.append(f"{self.agreement:.2%} of predictions equal")
        if self.metric:
            parts.insert(0, f"{self.relative_loss:.3%} of {self.metric}" if self.relative_loss > 0 else "nothing")
        return f"{', '.join(parts)}, on {self.samples} samples"

    def next_text(self) -> str:
        """What to do next, in words."""
        if self.metric and self.relative_loss > LARGE_LOSS:
            return "find the nodes that cost most (--per-node), or convert with a smaller --max-error"
        if not self.metric:
            return "add an array `labels` to the data for a task metric"
        return "spend fewer spikes: onnx-snn tune --target-loss, or convert with a larger --max-error"

    def _figure(self, score: float) -> str:
        return METRICS[self.metric].figure(score) if self.metric in METRICS else f"{score:.4g}"


LARGE_LOSS = 0.005
"""Relative loss of a task metric from which a network is no longer called near-lossless."""


def compare(
    original: str | Path,
    spiking: str | Path,
    data: Source,
    *,
    labels: NDArray[np.integer[Any]] | None = None,
    metric: MetricLike | None = None,
    output: str | None = None,
    batch_size: int = 8,
    samples: int | None = None,
    progress: bool = True,
    kernels: bool = True,
    custom_ops: Sequence[str | Path] = (),
) -> Evaluation:
    """Run both networks on `data` and compare them.

    Args:
        original: .onnx file of the original network.
        spiking: .onnx file of the converted network.
        data: inputs, in any form that `onnx_snn.convert` takes for calibration.
        labels: int64 [samples] or [samples, length]; by default those of the data, if it has any.
        metric: "accuracy", "f1", "perplexity", "cosine", "agreement", or a function of output and labels that
            returns a score for each sample, higher is better; by default chosen by the shape of the labels.
        output: name of the output to compare; the first by default.
        batch_size: samples in one run.
        samples: use at most this many samples.
        progress: show a progress bar on a terminal.
        kernels: use the kernels where they are installed; the figures do not depend on them.
        custom_ops: libraries of custom operators that the networks need.

    Raises:
        ModelError: a file cannot be loaded or has no such output, or the output shapes of the networks differ.
        LibraryError: onnxruntime cannot load the library with the kernels, or one of `custom_ops`.
        ConfigError: no metric has that name.
        CalibrationError: data or labels do not fit the model, or the model fails on them.
    """
    options = session_options(quiet=True, kernels=kernels, custom_ops=custom_ops)
    network = session(original, session_options=options, kernels=kernels)
    watched = WatchedNetwork(spiking, options, kernels=kernels, custom_ops=custom_ops)
    networks = network, watched.session
    name = output_name([[value.name for value in each.get_outputs()] for each in networks], output)
    data = with_model_folder(data, original)
    judge = JudgeOfSession(network)
    feeds = open_feeds(data, session_specs(network), batch_size=batch_size, max_samples=samples, judge=judge)
    labels = feeds.labels_or(labels)
    task = metric_of(metric, labels)
    score = Comparison(name, task, has_classes=_reads_classes(task) or file_has_class_scores(original, name))
    bar = {"desc": "compare", "total": feeds.batches, "disable": None if progress else True, "unit": "batch"}
    for feed, target in tqdm(labelled(feeds, labels), **bar):
        expected, got = (widened(outputs[name]) for outputs in (run(network, [name], feed), watched.run([name], feed)))
        score.add(sample_count(feed), expected, got, target)
    if labels is not None and samples is None and len(labels) != score.samples:
        raise CalibrationError(f"there are {len(labels)} labels for {score.samples} samples; give one per sample")
    types = {value.name: value.type for value in network.get_outputs()}
    evaluation = dataclasses.replace(score.evaluation(), saturation=watched.saturation())
    return dataclasses.replace(evaluation, compared=counted_parts(types[name]))


def _reads_classes(metric: Metric | None) -> bool:
    """Whether the user says, by a metric of logits, that the output has scores of classes."""
    return metric is not None and metric.decisive


class Comparison:
    """Accumulates the comparison of one output of two networks over batches.

    Args:
        output: name of the output.
        metric: task metric; None for none.
        has_classes: whether the output has scores of classes, whose largest is a prediction.

    Attributes:
        output: name of the output.
        metric: task metric; None for none.
        samples: number of samples so far.
        difference: error statistics so far.
        scores: scores of the original and of the spiking network; empty without a metric.
    """

    def __init__(self, output: str, metric: Metric | None, *, has_classes: bool = True) -> None:
        self.output, self.metric = output, metric
        self._has_classes = has_classes
        self.samples = 0
        self.difference = Difference()
        self.scores = (Score(metric), Score(metric)) if metric else ()

    def add(self, samples: int, expected: NDArray[Any], got: NDArray[Any], labels: NDArray[Any] | None) -> None:
        """Add one batch.

        Args:
            samples: number of samples of the batch.
            expected: output of the original network.
            got: output of the spiking network.
            labels: labels of the batch, if any.

        Raises:
            ModelError: the shapes of the outputs differ.
        """
        if expected.shape != got.shape:
            raise ModelError(f"output {self.output!r} has shape {got.shape} instead of the original's {expected.shape}")
        self.samples += samples
        self.difference.add(expected, got)
        for score, output in zip(self.scores, (expected, got), strict=False):
            score.add(output, expected, labels)

    def evaluation(self) -> Evaluation:
        """The figures over all batches."""
        original, spiking = [score.value for score in self.scores] or [math.nan, math.nan]
        agreement = self.difference.agreement if self._has_classes else None
        return Evaluation(
            self.output,
            self.samples,
            self.metric.name if self.metric else "",
            original,
            spiking,
            self.metric.relative_loss(original, spiking) if self.metric else math.nan,
            math.nan if agreement is None else agreement,
            self.difference.relative_error,
            self.difference.largest,
        )


def labelled(feeds: Feeds, labels: NDArray[Any] | None) -> Iterator[tuple[Feed, NDArray[Any] | None]]:
    """Every feed with the labels of its samples, or with None if there are no labels.

    Raises:
        CalibrationError: a feed does not fit the model, or there are fewer labels than samples.
    """
    start = 0
    for feed in feeds:
        stop = start + sample_count(feed)
        if labels is not None and stop > len(labels):
            raise CalibrationError(f"there are {len(labels)} labels for at least {stop} samples; give one per sample")
        yield feed, None if labels is None else labels[start:stop]
        start = stop


def output_name(networks: Sequence[Sequence[str]], output: str | None) -> str:
    """Name of the output to compare.

    Args:
        networks: names of the outputs of the original and of the spiking network.
        output: name that the user gave; None for the original's first output.

    Raises:
        ModelError: one of the networks has no such output.
    """
    name = output or networks[0][0]
    for role, known in zip(("original", "spiking"), networks, strict=True):
        if name not in known:
            raise ModelError(f"the {role} network has no output {name!r}; it has {list(known)}")
    return name


def output_names(model: ir.Model) -> list[str]:
    """Names of the outputs of `model`."""
    return [str(value.name) for value in model.graph.outputs]

# SPDX-License-Identifier: Apache-2.0
"""Comparison of a spiking network with its original on data: task metric, agreement of predictions, output error.

If the data has `labels`, the default task metric is accuracy for labels of shape [samples], and perplexity for labels
of shape [samples, length]; `onnx_snn.evaluation.metrics` has others.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.data.data_files import with_model_folder
from onnx_snn.data.feeds import Feeds, Source, open_feeds
from onnx_snn.data.specs import Feed, sample_count, session_specs
from onnx_snn.errors import CalibrationError, ModelError
from onnx_snn.evaluation.class_scores import file_has_class_scores
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.evaluation.evaluation import Evaluation
from onnx_snn.evaluation.metrics import Metric, MetricLike, Score, metric_of
from onnx_snn.evaluation.network_pair import NetworkFiles, Pair
from onnx_snn.evaluation.saturation import Saturation, summed
from onnx_snn.runtime.execution import counted_parts
from onnx_snn.runtime.finite_outputs import JudgeOfSession
from onnx_snn.workers.shards import ExecutorLike, Shard, Workers
from onnx_snn.workers.shared_feeds import SharedFeeds


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
    executor: ExecutorLike = None,
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
        executor: who runs the networks: any executor of `concurrent.futures`, or `Workers`; this process by default.

    Raises:
        ModelError: a file cannot be loaded or has no such output, or the output shapes of the networks differ.
        LibraryError: onnxruntime cannot load the library with the kernels, or one of `custom_ops`.
        ConfigError: no metric has that name.
        CalibrationError: data or labels do not fit the model, or the model fails on them.
        WorkerError: workers of `executor` are lost twice with the same work, or cannot be given it.
    """
    workers, files = Workers.of(executor), NetworkFiles(original, spiking, kernels, tuple(custom_ops))
    pair = files.open()
    name = output_name([[value.name for value in each.get_outputs()] for each in pair.sessions], output)
    data = with_model_folder(data, original)
    judge = JudgeOfSession(pair.original)
    feeds = open_feeds(data, session_specs(pair.original), batch_size=batch_size, max_samples=samples, judge=judge)
    labels = feeds.labels_or(labels)
    task = metric_of(metric, labels)
    has_classes = _reads_classes(task) or file_has_class_scores(original, name)
    score = Comparison(name, task, has_classes=has_classes)
    bar = tqdm(desc="compare", total=feeds.batches, disable=None if progress else True, unit="batch")
    if workers is not None:
        task_on = partial(ComparisonTask, files, labels, metric, name, has_classes)
        saturation = _compared_by(workers, task_on, feeds, score, bar)
    else:
        saturation = _compared_here(pair, labelled(feeds, labels), score, bar)
    if labels is not None and samples is None and len(labels) != score.samples:
        raise CalibrationError(f"there are {len(labels)} labels for {score.samples} samples; give one per sample")
    types = {value.name: value.type for value in pair.original.get_outputs()}
    return dataclasses.replace(score.evaluation(), saturation=saturation, compared=counted_parts(types[name]))


def _compared_here(
    pair: Pair, batches: Iterable[tuple[Feed, NDArray[Any] | None]], score: Comparison, bar: tqdm[Any]
) -> tuple[Saturation, ...]:
    """Add all batches to `score`, and return what saturates."""
    with bar:
        for feed, labels in batches:
            score.add(sample_count(feed), *pair.run(score.output, feed), labels)
            bar.update()
    return pair.spiking.saturation()


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

    def merge(self, other: Comparison) -> None:
        """Add what comes after the batches so far; where `other` has one batch, with the bits that `add` gives."""
        self.samples += other.samples
        self.difference.merge(other.difference)
        for score, further in zip(self.scores, other.scores, strict=True):
            score.batches += further.batches

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


NumberedComparison: TypeAlias = tuple[int, Comparison]
"""The number of a batch, and its comparison alone."""


@dataclass(frozen=True)
class ComparisonTask:
    """The comparison of two networks, as a task for workers; attributes as the arguments of `compare`.

    Attributes:
        has_classes: whether the output has scores of classes.
    """

    files: NetworkFiles
    labels: NDArray[Any] | None
    metric: MetricLike | None
    output: str
    has_classes: bool
    feeds: SharedFeeds

    def open(self, threads: int) -> Shard[tuple[list[NumberedComparison], tuple[Saturation, ...]]]:
        """A shard gives the comparison of each of its batches, and what saturates in them."""
        pair, metric = self.files.open(threads), metric_of(self.metric, self.labels)
        feeds = self.feeds.open(JudgeOfSession(pair.original))

        def shard(index: int, shards: int) -> tuple[list[NumberedComparison], tuple[Saturation, ...]]:
            found = []
            pair.spiking.reset()
            for number, start, feed in feeds.shard(index, shards):
                one = Comparison(self.output, metric, has_classes=self.has_classes)
                labels = _labels_of(feed, start, self.labels)
                one.add(sample_count(feed), *pair.run(self.output, feed), labels)
                found.append((number, one))
            return found, pair.spiking.saturation()

        return shard


def _compared_by(
    workers: Workers,
    task_on: Callable[[SharedFeeds], ComparisonTask],
    feeds: Feeds,
    score: Comparison,
    bar: tqdm[Any],
) -> tuple[Saturation, ...]:
    """Let workers compare all batches, add them to `score` in their order, and return what saturates."""
    compared: list[NumberedComparison] = []
    saturations = []
    with workers.folder_of_work() as folder, bar:
        for _, (batches, saturation) in workers.run(task_on(SharedFeeds.of(feeds, folder)), folder):
            compared += batches
            saturations.append(saturation)
            bar.update(len(batches))
    for _, one in sorted(compared, key=itemgetter(0)):
        score.merge(one)
    return summed(saturations)


def labelled(feeds: Feeds, labels: NDArray[Any] | None) -> Iterator[tuple[Feed, NDArray[Any] | None]]:
    """Every feed with the labels of its samples, or with None if there are no labels.

    Raises:
        CalibrationError: a feed does not fit the model, or there are fewer labels than samples.
    """
    start = 0
    for feed in feeds:
        yield feed, _labels_of(feed, start, labels)
        start += sample_count(feed)


def _labels_of(feed: Feed, start: int, labels: NDArray[Any] | None) -> NDArray[Any] | None:
    """The labels of `feed`, before which there are `start` samples; None if there are none at all."""
    stop = start + sample_count(feed)
    if labels is not None and stop > len(labels):
        raise CalibrationError(f"there are {len(labels)} labels for at least {stop} samples; give one per sample")
    return None if labels is None else labels[start:stop]


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

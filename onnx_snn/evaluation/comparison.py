# SPDX-License-Identifier: Apache-2.0
"""Compare a spiking network with its original on data: task metric, agreement of predictions, output error.

With `labels` in the data the task metric is accuracy where they are [samples], and perplexity where they are
[samples, length]; `onnx_snn.evaluation.metrics` has others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.data.data_files import open_npz
from onnx_snn.data.element_types import widened
from onnx_snn.data.feeds import Feeds, Source, open_feeds
from onnx_snn.data.specs import Feed, sample_count, session_specs
from onnx_snn.errors import CalibrationError, ModelError
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.evaluation.metrics import METRICS, Metric, MetricLike, Score, metric_of
from onnx_snn.formatting import json_values, table
from onnx_snn.runtime.execution import run
from onnx_snn.runtime.session import session, session_options

LABELS = "labels"
"""Name of the array of labels among the data."""


@dataclass(frozen=True)
class Evaluation:
    """How a spiking network does beside its original.

    Attributes:
        output: output that was compared.
        samples: number of samples.
        metric: such as "accuracy" or "perplexity"; "" without labels.
        original: the metric of the original network.
        spiking: the metric of the spiking network.
        relative_loss: how much worse the spiking network is, relative to the original; negative: better.
        agreement: share of equal argmax over the last axis; NaN where it holds no classes.
        relative_error: Frobenius norm of the difference over that of the original output.
        maximum_error: largest absolute difference.
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

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values, null where there is none."""
        return json_values(self)

    def text(self) -> str:
        """The figures for a terminal."""
        rows = [
            ("agreement of predictions", f"{self.agreement:.2%}"),
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
        return table((f"{self.output}, {self.samples} samples", ""), rows)

    def _figure(self, score: float) -> str:
        return METRICS[self.metric].figure(score) if self.metric in METRICS else f"{score:.4g}"


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
) -> Evaluation:
    """Run both networks on `data` and compare them.

    Args:
        original: .onnx file of the original network.
        spiking: .onnx file of the converted network.
        data: inputs, as for `onnx_snn.convert`.
        labels: int64 [samples] or [samples, length]; by default the array `labels` of the data, if any.
        metric: "accuracy", "f1", "perplexity", "cosine", "agreement", or a function of output and labels that
            returns a number for each sample, higher is better; by default what the labels suggest.
        output: name of the output to compare; the first by default.
        batch_size: samples in one run.
        samples: use at most this many samples.
        progress: show a progress bar on a terminal.
        kernels: use the kernels where they are installed; the figures do not depend on them.

    Raises:
        ModelError: a file cannot be loaded, or has no such output.
        LibraryError: onnxruntime cannot load the library with the kernels.
        CalibrationError: data or labels do not fit the model, or it fails on them.
    """
    options = session_options(quiet=True, kernels=kernels)
    networks = [session(path, session_options=options, kernels=kernels) for path in (original, spiking)]
    name = output_name([[value.name for value in network.get_outputs()] for network in networks], output)
    feeds = open_feeds(data, session_specs(networks[0]), batch_size=batch_size, max_samples=samples)
    labels = labels_of(data) if labels is None else np.asarray(labels)
    score = Comparison(name, metric_of(metric, labels))
    for feed, target in tqdm(labelled(feeds, labels), "compare", disable=None if progress else True, unit="batch"):
        expected, got = (widened(run(network, [name], feed)[name]) for network in networks)
        score.add(sample_count(feed), expected, got, target)
    if labels is not None and samples is None and len(labels) != score.samples:
        raise CalibrationError(f"there are {len(labels)} labels for {score.samples} samples")
    return score.evaluation()


class Comparison:
    """Running sums over the batches of one output of two networks.

    Args:
        output: its name.
        metric: the task metric, if there is one.
    """

    def __init__(self, output: str, metric: Metric | None) -> None:
        self.output, self.metric = output, metric
        self.samples = 0
        self.difference = Difference()
        self.scores = (Score(metric), Score(metric)) if metric else ()

    def add(self, samples: int, expected: NDArray[Any], got: NDArray[Any], labels: NDArray[Any] | None) -> None:
        """Count one batch."""
        if expected.shape != got.shape:
            raise ModelError(f"output {self.output!r} has shape {got.shape} instead of the original's {expected.shape}")
        self.samples += samples
        self.difference.add(expected, got)
        for score, output in zip(self.scores, (expected, got), strict=False):
            score.add(output, expected, labels)

    def evaluation(self) -> Evaluation:
        """The figures over all batches."""
        original, spiking = [score.value for score in self.scores] or [math.nan, math.nan]
        return Evaluation(
            self.output,
            self.samples,
            self.metric.name if self.metric else "",
            original,
            spiking,
            self.metric.relative_loss(original, spiking) if self.metric else math.nan,
            math.nan if self.difference.agreement is None else self.difference.agreement,
            self.difference.relative_error,
            self.difference.largest,
        )


def labelled(feeds: Feeds, labels: NDArray[Any] | None) -> Iterator[tuple[Feed, NDArray[Any] | None]]:
    """Every feed with the labels of its samples."""
    start = 0
    for feed in feeds:
        stop = start + sample_count(feed)
        if labels is not None and stop > len(labels):
            raise CalibrationError(f"there are {len(labels)} labels for at least {stop} samples")
        yield feed, None if labels is None else labels[start:stop]
        start = stop


def labels_of(data: Source) -> NDArray[Any] | None:
    """The array `labels` that comes with the inputs, if one does.

    Raises:
        CalibrationError: the file cannot be read.
    """
    if isinstance(data, (str, os.PathLike)) and Path(data).suffix == ".npz":
        with open_npz(data) as arrays:
            return np.asarray(arrays[LABELS]) if LABELS in arrays else None
    if isinstance(data, Mapping) and LABELS in data:
        return np.asarray(data[LABELS])
    return None


def output_name(networks: Sequence[Sequence[str]], output: str | None) -> str:
    """The output to compare, of those of the original and of the spiking network; the first by default.

    Raises:
        ModelError: one of them has no such output.
    """
    name = output or networks[0][0]
    for role, known in zip(("original", "spiking"), networks, strict=True):
        if name not in known:
            raise ModelError(f"the {role} network has no output {name!r}; it has {list(known)}")
    return name


def output_names(model: ir.Model) -> list[str]:
    """Names of the outputs of `model`."""
    return [str(value.name) for value in model.graph.outputs]

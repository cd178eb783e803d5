# SPDX-License-Identifier: Apache-2.0
"""The survey of a spiking network: all figures that a report shows, collected from runs on data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir
from tqdm import tqdm

from onnx_snn.calibration.whole_feeds import keep_whole
from onnx_snn.data.data_files import with_model_folder
from onnx_snn.data.feeds import Feeds, Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs
from onnx_snn.errors import ConfigError
from onnx_snn.evaluation.comparison import compare
from onnx_snn.evaluation.evaluation import Evaluation
from onnx_snn.evaluation.metrics import MetricLike
from onnx_snn.evaluation.range_guard import load_unguarded
from onnx_snn.graph.model_reader import load_model
from onnx_snn.profiling.energy import EnergyCosts
from onnx_snn.profiling.inspection import inspect
from onnx_snn.profiling.profiler import Profile, profile
from onnx_snn.profiling.spike_outputs import spiking_nodes
from onnx_snn.reporting.node_observer import NodeObserver
from onnx_snn.reporting.views import Candidate, Survey
from onnx_snn.runtime.finite_outputs import JudgeOfModel
from onnx_snn.runtime.tap_session import Observer, quiet_options, quiet_options_with_kernels

OBSERVED_SAMPLES = 16
"""Number of samples on which errors of nodes and arguments of neurons are observed; each is a run of its own."""

NODES_AT_ONCE = 32
"""Number of nodes that are observed in one pass over the samples; bounds the tensors held in memory."""


def survey(
    original: str | Path,
    spiking: str | Path,
    data: Source,
    *,
    also: Sequence[str | Path] = (),
    metric: MetricLike | None = None,
    sample: int = 0,
    samples: int | None = None,
    costs: EnergyCosts | None = None,
    batch_size: int = 8,
    progress: bool = True,
    kernels: bool = True,
    custom_ops: Sequence[str | Path] = (),
) -> Survey:
    """Collect everything that a report shows: loss, errors of nodes, spikes and energy of a spiking network.

    Args:
        original: .onnx file of the original network.
        spiking: .onnx file of the converted network.
        data: inputs and labels, as for `onnx_snn.compare`.
        also: other converted files of the same original, for the charts of loss by time steps and by spikes.
        metric: the task metric, as for `onnx_snn.compare`.
        sample: index of the sample of the raster plots; index of the feed if the model fixes the batch size.
        samples: use at most this many samples.
        costs: energy of each operation; by default for a 45 nm process.
        batch_size: samples in one run.
        progress: show progress bars on a terminal.
        kernels: use the kernels where they are installed; the figures do not depend on them.
        custom_ops: libraries of custom operators that the networks need.

    Raises:
        ModelError: a file cannot be loaded, or has no spiking node.
        LibraryError: onnxruntime cannot load the library with the kernels, or one of `custom_ops`.
        CalibrationError: the data does not fit the model, or a model fails on it.
        ConfigError: the data has no sample with this index, or no metric has that name.
    """
    if sample < 0:
        raise ConfigError(f"sample is {sample}; expected an index from 0")
    network = load_unguarded(spiking, custom_ops)
    data = with_model_folder(data, original)
    specs, judge = input_specs(network), JudgeOfModel(network)
    feeds = open_feeds(data, specs, batch_size=batch_size, max_samples=samples, judge=judge)
    if not isinstance(data, (str, os.PathLike, Mapping)):
        data = feeds  # a source that can be read only once is read here and replayed

    common = {"batch_size": batch_size, "samples": samples, "progress": progress}
    options: dict[str, Any] = common | {"kernels": kernels, "custom_ops": custom_ops}
    counted = [profile(path, data, costs=costs, **options) for path in (spiking, *also)]
    compared = [compare(original, path, data, metric=metric, **options) for path in (spiking, *also)]
    candidates = tuple(map(_candidate, (spiking, *also), counted, compared))
    observers = [NodeObserver(node) for node in spiking_nodes(network)]
    pair = load_model(original, custom_ops), network
    keep_whole(pair[0], feeds)
    observed, groups = 0, range(0, len(observers), NODES_AT_ONCE)
    for start in tqdm(groups, "survey", disable=None if progress else True, unit="group"):
        observed = _observe(pair, observers[start : start + NODES_AT_ONCE], feeds, sample, kernels)
    activities = iter(candidates[0].profile.neurons)
    nodes = tuple(observer.view([next(activities) for _ in observer.meters]) for observer in observers)
    return Survey(str(original), inspect(spiking).config, candidates, nodes, observed, sample)


def _candidate(path: str | Path, counts: Profile, evaluation: Evaluation) -> Candidate:
    steps = max(neuron.timesteps - neuron.gate for neuron in counts.neurons)
    return Candidate(str(path), steps, evaluation, counts)


def _observe(
    networks: tuple[ir.Model, ir.Model], observers: Sequence[NodeObserver], feeds: Feeds, sample: int, kernels: bool
) -> int:
    """Run both networks on the first samples and on sample `sample`, and pass the tensors to `observers`.

    Returns:
        Number of first samples that were observed, at most `OBSERVED_SAMPLES`.
    """
    original, spiking = networks
    known = {value.name for node in original.graph for value in node.outputs} | {v.name for v in original.graph.inputs}
    references = sorted({observer.reference for observer in observers} & known)
    taps = sorted({name for observer in observers for name in (observer.input, observer.output)})
    reference = Observer(original, references) if references else None
    got_of = Observer(spiking, taps, session_options=quiet_options_with_kernels if kernels else quiet_options)
    count = 0
    for number, feed in _samples(feeds, sample):
        expected, got = reference(feed) if reference else {}, got_of(feed)
        for observer in observers:
            x, y = got[observer.input], got[observer.output]
            observer.add(x, y, expected.get(observer.reference), chosen=number == sample)
        count += number < OBSERVED_SAMPLES
    return count


def _samples(feeds: Feeds, sample: int) -> Iterator[tuple[int, Feed]]:
    """The first `OBSERVED_SAMPLES` samples and the one with index `sample`, with their indices.

    Raises:
        ConfigError: the data has no sample with this index.
    """
    last = -1
    for last, feed in enumerate(feeds.singles()):
        if last < OBSERVED_SAMPLES or last == sample:
            yield last, feed
        if last >= max(OBSERVED_SAMPLES - 1, sample):
            break
    if last < sample:
        raise ConfigError(f"sample is {sample}, but the data has {last + 1} samples; expected an index below that")

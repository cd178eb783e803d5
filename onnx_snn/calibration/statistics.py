# SPDX-License-Identifier: Apache-2.0
"""Calibration: run the original model on real data and count every element of the tensors to be coded.

The observed tensors become the outputs of a copy of the model, and what onnxruntime returns for them goes
into histograms at once and is dropped. Memory stays bounded in three ways: histograms do not grow with the
data; tensors are observed in groups whose outputs fit into `GROUP_BYTES`; weights are not copied.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.calibration.channel_histogram import ChannelHistogram
from onnx_snn.calibration.signed_histogram import SignedHistogram
from onnx_snn.data.feeds import Feeds
from onnx_snn.data.specs import Feed, sample_count
from onnx_snn.errors import CalibrationError
from onnx_snn.graph.shapes import Shapes
from onnx_snn.graph.subgraphs import EMPTY
from onnx_snn.runtime.finite_outputs import JudgeOfModel
from onnx_snn.runtime.tap_session import Observer, OptionsFactory, quiet_options
from onnx_snn.workers.shards import Shard, Workers, with_threads
from onnx_snn.workers.shared_feeds import SharedFeeds
from onnx_snn.workers.shared_model import SharedModel

logger = logging.getLogger(__name__)

Axes: TypeAlias = tuple[int, ...]
Shape: TypeAlias = tuple[int, ...]

GROUP_BYTES = 1 << 30
"""Largest size in bytes of the tensors observed in one run of the model; larger sets of tensors are split into groups,
each of which takes one pass over the data."""


@dataclass(frozen=True)
class Observation:
    """A tensor to observe.

    Attributes:
        value: Its name; of one that lies in a branch of an If, runs that do not take the branch show nothing.
        channel_axes: Axes that together index its channels; None to count all values together only.
    """

    value: str
    channel_axes: Axes | None = None


@dataclass
class Calibration:
    """Statistics of the observed tensors.

    Attributes:
        signed: Histogram of each observed tensor.
        channels: Histograms of the channels of a tensor, by its name and channel axes.
        shapes: The shapes that each tensor had.
        samples: Number of samples seen.
    """

    signed: dict[str, SignedHistogram] = field(default_factory=dict)
    channels: dict[tuple[str, Axes], ChannelHistogram] = field(default_factory=dict)
    shapes: dict[str, set[Shape]] = field(default_factory=dict)
    samples: int = 0

    def add(self, value: str, channel_axes: Iterable[Axes], array: NDArray[Any]) -> None:
        """Count every element of `array`, an instance of tensor `value`.

        Raises:
            CalibrationError: it is not floating-point, lacks a channel axis, or has another number of
                channels than before.
        """
        if array.dtype.kind != "f":
            raise CalibrationError(f"tensor '{value}' holds {array.dtype}; only floating-point can be observed")
        self.shapes.setdefault(value, set()).add(array.shape)
        self.signed.setdefault(value, SignedHistogram()).add(array)
        for axes in channel_axes:
            self._add_channels(value, axes, array)

    def merge(self, other: Calibration) -> None:
        """Add the counts of `other`, whose histograms may become part of this; exact, in any order.

        Raises:
            CalibrationError: a tensor has another number of channels there.
        """
        self.samples += other.samples
        for value, shapes in other.shapes.items():
            self.shapes.setdefault(value, set()).update(shapes)
        for value, signed in other.signed.items():
            if self.signed.setdefault(value, signed) is not signed:
                self.signed[value].merge(signed)
        for key, channels in other.channels.items():
            if self.channels.setdefault(key, channels) is not channels:
                self._merge_channels(key, channels)

    def _merge_channels(self, key: tuple[str, Axes], other: ChannelHistogram) -> None:
        try:
            self.channels[key].merge(other)
        except ValueError as error:
            raise CalibrationError(f"axes {key[1]} of tensor '{key[0]}' cannot be its channels: {error}") from error

    def sort(self, values: Sequence[str]) -> None:
        """Bring the tensors into the order of `values`, in place of that in which the data shows them."""
        place = {value: number for number, value in enumerate(values)}
        self.signed = {value: self.signed[value] for value in sorted(self.signed, key=place.__getitem__)}
        self.shapes = {value: self.shapes[value] for value in sorted(self.shapes, key=place.__getitem__)}
        asked = sorted(self.channels, key=lambda key: place[key[0]])
        self.channels = {key: self.channels[key] for key in asked}

    def _add_channels(self, value: str, axes: Axes, array: NDArray[Any]) -> None:
        try:
            if (value, axes) not in self.channels:
                channels = math.prod(array.shape[axis] for axis in axes)
                self.channels[value, axes] = ChannelHistogram(channels)
            self.channels[value, axes].add(array, axes)
        except (IndexError, ValueError) as error:
            raise CalibrationError(f"axes {axes} of tensor '{value}' cannot be its channels: {error}") from error


def calibrate(
    model: ir.Model,
    observations: Iterable[Observation],
    feeds: Feeds,
    *,
    typical: Sequence[Feed] = (),
    providers: Sequence[str] | None = None,
    session_options: OptionsFactory | None = None,
    progress: bool = True,
    workers: Workers | None = None,
) -> Calibration:
    """Run `model` on all of `feeds` and count what the observed tensors hold.

    Args:
        model: The original model; it is left as it is.
        observations: The tensors; one may be asked for with several channel axes.
        feeds: The data, from `onnx_snn.data.feeds.open_feeds`.
        typical: Feeds from which the sizes of the tensors are found; by default the first one.
        providers: onnxruntime's execution providers; None for the CPU.
        session_options: Makes the options of a session, for instance to register custom operators.
        progress: Show a bar on a terminal.
        workers: Who runs the model; this process by default.

    Raises:
        CalibrationError: a tensor cannot be observed, or the model fails on the data.
        ModelError: onnxruntime does not accept the model.
        WorkerError: a worker is lost twice, or cannot be given the work.
    """
    observations = list(observations)
    channel_axes: dict[str, list[Axes]] = {observation.value: [] for observation in observations}
    for value, axes in dict.fromkeys((seen.value, seen.channel_axes) for seen in observations):
        if axes is not None:
            channel_axes[value].append(axes)
    calibration = Calibration()
    observer = partial(Observer, model, providers=providers, session_options=session_options)
    shapes_of = observer(list(channel_axes), shapes=True)
    groups = _groups([Shapes.of_stacked(shapes_of(feed)) for feed in typical or [feeds.first()]])
    logger.info("observing %s tensors in %s passes over the data", len(channel_axes), len(groups))
    steps = None if feeds.batches is None else feeds.batches * len(groups)
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(desc="calibrate", total=steps, unit="batch", disable=None if progress else True))
        shared = None if workers is None else _Shared.of(workers, model, feeds, stack)
        for group in groups:
            asked = {value: channel_axes[value] for value in group}
            if shared is not None:
                found = shared.observed(asked, providers, session_options, bar)
            else:
                # The session goes with the call, so that the next one does not find two sets of weights.
                found = _observed(observer(group), feeds, asked, bar)
            calibration.samples = 0  # each group sees all of them
            calibration.merge(found)
    calibration.sort(list(channel_axes))
    return calibration


def _observed(
    observer: Observer, feeds: Iterable[Feed], channel_axes: Mapping[str, Sequence[Axes]], bar: tqdm[Any]
) -> Calibration:
    """The statistics of one group of tensors over `feeds`."""
    calibration = Calibration()
    for feed in feeds:
        for value, array in observer(feed).items():
            if array.shape != EMPTY:
                calibration.add(value, channel_axes[value], array)
        calibration.samples += sample_count(feed)
        bar.update()
    return calibration


class _Shared(NamedTuple):
    """A model and its data where workers find them."""

    workers: Workers
    folder: Path
    model: SharedModel
    feeds: SharedFeeds

    @classmethod
    def of(cls, workers: Workers, model: ir.Model, feeds: Feeds, stack: ExitStack) -> _Shared:
        folder = stack.enter_context(workers.folder_of_work())
        return cls(workers, folder, SharedModel.of(model, folder), SharedFeeds.of(feeds, folder))

    def observed(
        self,
        channel_axes: Mapping[str, Sequence[Axes]],
        providers: Sequence[str] | None,
        session_options: OptionsFactory | None,
        bar: tqdm[Any],
    ) -> Calibration:
        """The statistics of one group of tensors."""
        calibration = Calibration()
        task = ObservationTask(self.model, self.feeds, channel_axes, providers, session_options)
        for _, (batches, part) in self.workers.run(task, self.folder):
            calibration.merge(part)
            bar.update(batches)
        return calibration


@dataclass(frozen=True)
class ObservationTask:
    """Statistics of one group of tensors, as a task for workers."""

    model: SharedModel
    feeds: SharedFeeds
    channel_axes: Mapping[str, Sequence[Axes]]
    providers: Sequence[str] | None
    session_options: OptionsFactory | None

    def open(self, threads: int) -> Shard[tuple[int, Calibration]]:
        """A shard gives its number of batches, and their statistics."""
        model = self.model.load()
        options = partial(_with_threads, self.session_options or quiet_options, threads)
        observer = Observer(model, list(self.channel_axes), providers=self.providers, session_options=options)
        feeds = self.feeds.open(JudgeOfModel(model))

        def shard(index: int, shards: int) -> tuple[int, Calibration]:
            with tqdm(disable=True) as bar:
                part = (feed for _, _, feed in feeds.shard(index, shards))
                calibration = _observed(observer, part, self.channel_axes, bar)
                return int(bar.n), calibration

        return shard


def _with_threads(session_options: OptionsFactory, threads: int) -> ort.SessionOptions:
    return with_threads(session_options(), threads)


def _groups(shapes: Sequence[Shapes]) -> list[list[str]]:
    """Cut the observed tensors, in order, into groups of at most `GROUP_BYTES` of float32 in each of some runs."""
    groups: list[list[str]] = []
    free = 0
    for value in shapes[0].by_name:
        size = 4 * max(each.elements_of(value) for each in shapes)
        if not groups or size > free:
            groups.append([])
            free = GROUP_BYTES
        groups[-1].append(value)
        free -= size
    return groups

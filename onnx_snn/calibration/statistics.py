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
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import onnx_ir as ir
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.calibration.channel_histogram import ChannelHistogram
from onnx_snn.calibration.signed_histogram import SignedHistogram
from onnx_snn.data.feeds import Feeds
from onnx_snn.data.specs import Feed, sample_count
from onnx_snn.errors import CalibrationError
from onnx_snn.graph.shapes import Shapes
from onnx_snn.graph.subgraphs import EMPTY
from onnx_snn.runtime.tap_session import Observer, OptionsFactory

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

    Raises:
        CalibrationError: a tensor cannot be observed, or the model fails on the data.
        ModelError: onnxruntime does not accept the model.
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
    with tqdm(desc="calibrate", total=steps, unit="batch", disable=None if progress else True) as bar:
        for group in groups:
            # The session goes with the call, so that the next one does not find two sets of weights.
            calibration.samples = _observe(observer(group), feeds, channel_axes, calibration, bar)
    return calibration


def _observe(
    observer: Observer,
    feeds: Feeds,
    channel_axes: Mapping[str, Sequence[Axes]],
    calibration: Calibration,
    bar: tqdm[Any],
) -> int:
    """Count one group of tensors over all feeds; returns the number of samples."""
    samples = 0
    for feed in feeds:
        for value, array in observer(feed).items():
            if array.shape != EMPTY:
                calibration.add(value, channel_axes[value], array)
        samples += sample_count(feed)
        bar.update()
    return samples


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

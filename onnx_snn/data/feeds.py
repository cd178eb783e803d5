# SPDX-License-Identifier: Apache-2.0
"""Readers of calibration and evaluation data: every supported source becomes a sequence of checked feeds.

`open_feeds` accepts

- a reader with onnxruntime's `CalibrationDataReader` interface: `get_next()` returns a feed, and None after the last;
- an iterable of feeds (dicts from input name to array);
- a dict of arrays, with one array per model input whose first axis counts samples;
- the path of a file or folder of one of the kinds in `onnx_snn/data/kinds/`, or `DataFiles` with such a path.

An input of shape [1] that the samples of a feed share, such as `use_cache_branch` of a merged decoder, is given in
arrays as one element for all samples or as one element for each.

Every feed is checked against the model's inputs. One that holds NaN or infinity is taken where a judge finds that the
model makes finite outputs of it, as of a mask that is -inf where there is nothing to attend to. A `Feeds` object can be
iterated over as often as needed: feeds of a source that can be read only once are kept in a temporary file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from onnx_snn.data.batches import Batches, shared_inputs
from onnx_snn.data.data_files import DataFiles, Request, absolute
from onnx_snn.data.kinds import KINDS, open_files
from onnx_snn.data.kinds.archives import Archives
from onnx_snn.data.replay import Replay
from onnx_snn.data.sample_sets import DrawnFeeds, SampleSet
from onnx_snn.data.specs import Feed, InputSpec, NumberedFeed, check_feed, non_finite, sample_count
from onnx_snn.errors import CalibrationError


@runtime_checkable
class DataReader(Protocol):
    """A reader with the interface of onnxruntime's `CalibrationDataReader`."""

    def get_next(self) -> Mapping[str, Any] | None:
        """The next feed, or None after the last one."""


Source: TypeAlias = "DataReader | Iterable[Mapping[str, Any]] | Mapping[str, Any] | str | os.PathLike[str] | DataFiles"


Judge: TypeAlias = "Callable[[Feed], str | None]"
"""What a model makes of a feed that is not finite: name, value and place of a number of its outputs that is not finite
either; None where all are finite."""


@runtime_checkable
class Partitioned(Protocol):
    """Feeds of which any part can be read without the others, by any process that unpickles the object."""

    def __iter__(self) -> Iterator[Feed]:
        """All feeds."""

    def part(self, index: int, parts: int) -> Iterator[tuple[int, int, Feed]]:
        """Every feed whose number is `index` modulo `parts`: its number, the number of samples before it, and itself.

        The parts together are all feeds, whatever their number.
        """


class Opening(NamedTuple):
    """The arguments of `open_feeds` with which other processes open the same data.

    Attributes:
        source: a path, or `Partitioned`.
        batch_size, max_samples, evenly: as of `open_feeds`.
    """

    source: Source
    batch_size: int = 8
    max_samples: int | None = None
    evenly: bool = False


class Feeds:
    """A sequence of feeds, checked as they are read, that can be iterated over again and again.

    Args:
        source: The feeds.
        specs: The model's inputs.
        max_samples: Stop after the feed that reaches this many samples.
        judge: Judge of feeds that are not finite; None to accept none.

    Attributes:
        batches: Number of feeds, or None while it is unknown.
        judge: Judge of feeds that are not finite.
        order: int64 [samples], the index in the source of each sample; None where they are in the order of the source.
        splits: whether the model runs on each sample of a feed alone.
        opening: how another process opens the same feeds; None where it cannot, or not read them by parts.
    """

    def __init__(
        self,
        source: Iterable[Mapping[str, Any]],
        specs: Sequence[InputSpec],
        *,
        max_samples: int | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.judge = judge
        self._accepted: set[int] = set()
        self.batches = len(source) if isinstance(source, Sized) and max_samples is None else None
        self._source = Replay(source) if isinstance(source, Iterator) else source
        self._specs = specs
        self._max_samples = max_samples
        self.splits = True
        self.opening: Opening | None = None
        self._labelled = source if isinstance(source, (Archives, Batches, DrawnFeeds, Feeds)) else None
        self.order: NDArray[np.int64] | None = None if self._labelled is None else self._labelled.order

    def __iter__(self) -> Iterator[Feed]:
        """Feeds that hold exactly the model's inputs.

        Raises:
            CalibrationError: a feed does not fit the model, or the source is empty.
        """
        batches = samples = 0
        for feed in self._source:
            checked = self._checked(feed, batches, samples)
            batches += 1
            samples += sample_count(checked)
            yield checked
            if self._max_samples is not None and samples >= self._max_samples:
                break
        if batches == 0:
            raise CalibrationError("the data is empty; give at least one sample")
        self.batches = batches

    def shard(self, index: int, shards: int) -> Iterator[NumberedFeed]:
        """Every feed whose number is `index` modulo `shards`, of a source that can be read by parts (`Partitioned`).

        Raises:
            CalibrationError: a feed does not fit the model.
        """
        assert isinstance(self._source, Partitioned), "other sources are stored for workers"
        for number, start, feed in self._source.part(index, shards):
            yield NumberedFeed(number, start, self._checked(feed, number, start))

    @property
    def specs(self) -> Sequence[InputSpec]:
        """The model's inputs."""
        return self._specs

    def _checked(self, feed: Mapping[str, Any], number: int, start: int) -> Feed:
        """`feed`, the one with this number, before which there are `start` samples, with exactly the model's inputs."""
        where = f"feed {number} of the data"
        checked = check_feed(feed, self._specs, where=where, finite=self.judge is None)
        found = None if self.judge is None or start in self._accepted else non_finite(checked)
        if found is not None and self.judge is not None:
            outputs = self.judge(checked)
            if outputs is not None:
                raise CalibrationError(
                    f"{where}: input {found}, of which the network makes an output that is not finite: {outputs}; "
                    "expected finite inputs, or such as the network turns into finite outputs"
                )
            self._accepted.add(start)
        return checked

    @property
    def labels(self) -> NDArray[Any] | None:
        """The labels that the source has, [samples] or [samples, length], in the order of the feeds; None for none.

        Raises:
            CalibrationError: the names of classes are not those of the model.
        """
        return None if self._labelled is None else self._labelled.labels

    def labels_or(self, given: Any) -> NDArray[Any] | None:
        """The labels `given` for all samples of the source, or else its own, in the order of the feeds.

        Args:
            given: [samples, ...]; None for the labels of the source.

        Raises:
            CalibrationError: a sample has no label.
        """
        if given is None:
            return self.labels
        labels = np.asarray(given)
        if self.order is None:
            return labels
        if len(labels) <= self.order.max():
            raise CalibrationError(f"there are {len(labels)} labels for more samples; give one per sample")
        return np.asarray(labels[self.order])

    def singles(self) -> Iterator[Feed]:
        """Feeds of one sample each; the source's feeds where they cannot be split.

        Raises:
            CalibrationError: a feed does not fit the model, or the source is empty.
        """
        for feed in self:
            yield from self.split(feed)

    def split(self, feed: Feed) -> Iterator[Feed]:
        """Split `feed`, one of these feeds, into feeds of one sample; yields `feed` itself where it cannot be split."""
        shared = shared_inputs(self._specs)
        own = {name: array for name, array in feed.items() if name not in shared}
        free = all(spec.shape and not isinstance(spec.shape[0], int) for spec in self._specs if spec.name in own)
        if not (free and self.splits) or len({len(array) for array in own.values()}) > 1:
            yield feed
            return
        for i in range(sample_count(own)):
            yield feed | {name: array[i : i + 1] for name, array in own.items()}

    def digest(self) -> str:
        """SHA-256 of all samples in their order, in hexadecimal; the same for any number of samples in a feed."""
        inputs = {spec.name: hashlib.sha256() for spec in self._specs}
        shared, kinds, values = shared_inputs(self._specs), dict[str, str](), dict[str, bytes]()
        for feed in self:
            for name, array in feed.items():
                kind = f"{array.dtype.str} {array.shape[1:]} "
                text = array.dtype.kind == "O"
                value = repr(array.tolist()).encode() if text else np.ascontiguousarray(array).tobytes()
                if kinds.get(name) != kind:
                    inputs[name].update(kind.encode())
                if name not in shared or values.get(name) != value:
                    inputs[name].update(value)
                kinds[name] = kind
                if name in shared:
                    values[name] = value
        return hashlib.sha256("".join(inputs[name].hexdigest() for name in sorted(inputs)).encode()).hexdigest()

    def first(self) -> Feed:
        """The first feed."""
        return next(iter(self))


def open_feeds(
    source: Source,
    model_inputs: Sequence[InputSpec],
    *,
    batch_size: int = 8,
    max_samples: int | None = None,
    evenly: bool = False,
    judge: Judge | None = None,
) -> Feeds:
    """Open calibration or evaluation data and check its first feed.

    Args:
        source: One of the forms in the list at the top of this module.
        model_inputs: Inputs of the model, from `onnx_snn.data.specs.input_specs`.
        batch_size: Samples in a feed where arrays are split into feeds; a batch size that the model fixes wins.
        max_samples: Stop after the feed that reaches this many samples.
        evenly: Take `max_samples` at equal distances over all samples where their number is known, in place of the
            first ones. Samples by index, such as files, are always drawn so.
        judge: Judge of feeds that are not finite; None to accept none.

    Raises:
        CalibrationError: the source cannot be read, is empty or does not fit the model.
    """
    if batch_size < 1 or (max_samples is not None and max_samples < 1):
        raise CalibrationError(f"batch_size {batch_size} and max_samples {max_samples} must be at least 1")
    opened: Any = source
    opening = Opening(absolute(source), batch_size, max_samples, evenly)
    if isinstance(source, (str, os.PathLike)):
        files = source if isinstance(source, DataFiles) else DataFiles(source)
        opened = open_files(Request(files, model_inputs, batch_size, max_samples, evenly))
    if isinstance(opened, Mapping):
        opened, max_samples = Batches(opened, model_inputs, batch_size, max_samples, evenly=evenly), None
    elif isinstance(opened, SampleSet):
        opened, max_samples = DrawnFeeds(opened, model_inputs, batch_size, max_samples), None
    elif isinstance(opened, DataReader):
        opened = iter(opened.get_next, None)
    elif not isinstance(opened, Iterable):
        raise CalibrationError(
            f"the data is a {type(opened).__name__}; expected a reader with get_next(), an iterable of dicts, a dict "
            f"of arrays, or the path of {', '.join(kind.name for kind in KINDS)}"
        )
    feeds = Feeds(opened, model_inputs, max_samples=max_samples, judge=judge)
    if isinstance(source, (str, os.PathLike, Partitioned)) and isinstance(opened, Partitioned) and max_samples is None:
        feeds.opening = opening
    feeds.first()
    return feeds

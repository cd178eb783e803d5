# SPDX-License-Identifier: Apache-2.0
"""Samples that are read when they are needed: in any order, some at a time, with their labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.data.batches import whole_batches
from onnx_snn.data.drawing import evenly_spaced, spread
from onnx_snn.data.specs import Feed, InputSpec, NumberedFeed, sample_count


class SampleSet(ABC):
    """Samples of one source by index, such as the images of a folder."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @property
    def labels(self) -> NDArray[Any] | None:
        """int64 [samples] or [samples, length], read only where labels are asked for; None where the source has none.

        Raises:
            CalibrationError: the names of classes are not those of the model.
        """
        return None

    @abstractmethod
    def feeds(self, indices: Sequence[int]) -> Iterator[Feed]:
        """The samples `indices` in this order, in one feed or, where their shapes differ, in several.

        Raises:
            CalibrationError: a sample cannot be read or does not fit the model.
        """


class DrawnFeeds:
    """Feeds of the samples of a set, drawn evenly over it.

    The order is that of `spread`, so that the first feeds, from which errors and shapes are measured, are from all over
    the set: of all classes, where the files of a class lie together.

    Args:
        samples: the set.
        specs: the inputs of the model.
        batch_size: samples in a feed, unless the model fixes another number.
        max_samples: number of samples to draw; None for all.

    Attributes:
        order: int64 [drawn], the index in the set of each sample.

    Raises:
        CalibrationError: the model fixes batches of more samples than there are.
    """

    def __init__(
        self, samples: SampleSet, specs: Sequence[InputSpec], batch_size: int, max_samples: int | None
    ) -> None:
        total = len(samples)
        chosen = evenly_spaced(total, total if max_samples is None else max_samples)
        self._step, count = whole_batches(len(chosen), specs, batch_size)
        self.order = chosen[spread(len(chosen))][:count]
        self._samples = samples

    @property
    def labels(self) -> NDArray[Any] | None:
        """The labels of the drawn samples; None where the set has none."""
        labels = self._samples.labels
        return None if labels is None else labels[self.order]

    def __len__(self) -> int:
        return -(-len(self.order) // self._step)

    def __iter__(self) -> Iterator[Feed]:
        return (feed for _, _, feed in self.part(0, 1))

    def part(self, index: int, parts: int) -> Iterator[NumberedFeed]:
        """The feeds of every batch whose number is `index` modulo `parts`; no other sample is read."""
        for number in range(index, len(self), parts):
            start = number * self._step
            for feed in self._samples.feeds([int(i) for i in self.order[start : start + self._step]]):
                yield NumberedFeed(number, start, feed)
                start += sample_count(feed)


def stacked(samples: Iterable[Feed]) -> Iterator[Feed]:
    """Feeds of consecutive samples [1, ...] of equal shapes."""
    run: list[Feed] = []
    for sample in samples:
        if run and any(array.shape != run[0][name].shape for name, array in sample.items()):
            yield _joined(run)
            run = []
        run.append(sample)
    if run:
        yield _joined(run)


def _joined(samples: Sequence[Feed]) -> Feed:
    return {name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]}

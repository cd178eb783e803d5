# SPDX-License-Identifier: Apache-2.0
"""Arrays whose first axis counts samples, split into feeds of a batch each."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.data.drawing import evenly_spaced
from onnx_snn.data.specs import Feed, InputSpec, NumberedFeed, suggestion
from onnx_snn.errors import CalibrationError

logger = logging.getLogger(__name__)

LABELS = "labels"
"""Name of the array in the data that holds the labels."""

IGNORED_LABEL = -100
"""Label of items that no metric judges, as in Transformers."""


def shared_inputs(specs: Sequence[InputSpec]) -> frozenset[str]:
    """Inputs that all samples of a feed share: those of shape [1] in a model whose other inputs have a free first axis.

    An example is `use_cache_branch` of a merged decoder, which selects the branch with or without a cache.

    Returns:
        Names of these inputs; empty where another input fixes its first axis too.
    """
    single = frozenset(spec.name for spec in specs if spec.shape == (1,))
    rest = [spec.shape[0] for spec in specs if spec.shape and spec.name not in single]
    return single if rest and not any(isinstance(size, int) for size in rest) else frozenset()


def whole_batches(samples: int, specs: Sequence[InputSpec], batch_size: int) -> tuple[int, int]:
    """The number of samples in a feed, and of `samples` the number that fill whole feeds where the model fixes these.

    Raises:
        CalibrationError: there is no sample, or not one whole feed; inputs fix different sizes.
    """
    fixed = _fixed_batch_size(specs)
    if fixed is None:
        used = samples
    else:
        batch_size, used = fixed, samples - samples % fixed
        if used < samples:
            logger.warning("the model fixes batches of %s: %s of %s samples used", fixed, used, samples)
    if used == 0:
        raise CalibrationError(
            f"the data has {samples} samples; the model fixes batches of {batch_size}: give at least that many"
            if samples
            else "the data is empty; give at least one sample"
        )
    return batch_size, used


class Batches:
    """Feeds of at most `batch_size` samples each, split from arrays whose first axis counts samples.

    An input that the samples of a feed share (`shared_inputs`) has either one element for all samples or one for each
    sample; in the latter case a feed ends where its value changes.

    Args:
        arrays: arrays by name, [samples, ...]; names that are no model input, such as "labels", are ignored.
        specs: the inputs of the model.
        batch_size: samples in a feed, unless the model fixes another number.
        max_samples: use at most this many samples.
        evenly: take these at equal distances over all samples, in place of the first ones.

    Attributes:
        labels: the array "labels" for the samples that are used or for more; None if there is none for all of them.
        order: the index of each sample that is used, where they are drawn evenly; else None.

    Raises:
        CalibrationError: an input is missing, or the arrays differ in their number of samples.
    """

    def __init__(
        self,
        arrays: Mapping[str, Any],
        specs: Sequence[InputSpec],
        batch_size: int,
        max_samples: int | None,
        *,
        evenly: bool = False,
    ) -> None:
        missing = [spec.name for spec in specs if spec.name not in arrays]
        if missing:
            found = suggestion(missing[0], arrays)
            raise CalibrationError(f"the data lacks model input '{missing[0]}'{found}")
        self._arrays = {spec.name: np.asarray(arrays[spec.name]) for spec in specs}
        self._shared = shared_inputs(specs)
        samples = _common_length(self._arrays, self._shared)
        self.labels = np.asarray(arrays[LABELS]) if LABELS in arrays else None
        self.order = evenly_spaced(samples, max_samples) if evenly and max_samples is not None else None
        if self.order is not None:
            whole = {name for name, array in self._arrays.items() if name in self._shared and len(array) == 1}
            self._arrays |= {name: self._arrays[name][self.order] for name in self._arrays.keys() - whole}
            self.labels = self.labels[self.order] if self.labels is not None and len(self.labels) == samples else None
            samples = len(self.order)
        given = samples if max_samples is None else min(samples, max_samples)
        own = [spec for spec in specs if spec.name not in self._shared]
        self._step, self._samples = whole_batches(given, own, batch_size)

    def __len__(self) -> int:
        return len(self._spans())

    def __iter__(self) -> Iterator[Feed]:
        return (feed for _, _, feed in self.part(0, 1))

    def part(self, index: int, parts: int) -> Iterator[NumberedFeed]:
        """Every feed whose number is `index` modulo `parts`."""
        spans = self._spans()
        for number in range(index, len(spans), parts):
            start, stop = spans[number]
            yield NumberedFeed(number, start, {name: self._slice(name, start, stop) for name in self._arrays})

    def _slice(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """The array of input `name` for samples `start` to `stop`; one element for an input that they share."""
        array = self._arrays[name]
        if name not in self._shared:
            return array[start:stop]
        return array[start : start + 1] if len(array) > 1 else array

    def _spans(self) -> list[tuple[int, int]]:
        """The half-open ranges of samples [start, stop) of all feeds."""
        edges = {0, self._samples}
        for name in self._shared:
            array = self._arrays[name]
            changes = np.flatnonzero(array[1:] != array[:-1]) + 1
            edges.update(int(edge) for edge in changes if edge < self._samples)
        return [
            (start, min(start + self._step, end))
            for begin, end in itertools.pairwise(sorted(edges))
            for start in range(begin, end, self._step)
        ]


def _common_length(arrays: Feed, shared: Collection[str]) -> int:
    """The number of samples of `arrays`; inputs in `shared` may have one element instead.

    Raises:
        CalibrationError: an array is a scalar, or the arrays differ in their number of samples.
    """
    scalars = [name for name, array in arrays.items() if array.ndim == 0]
    if scalars:
        raise CalibrationError(
            f"the data's array '{scalars[0]}' is a scalar; its first axis must count samples (an input that "
            "all samples share needs an iterable of feeds)"
        )
    lengths = {name: len(array) for name, array in arrays.items() if name not in shared or len(array) != 1}
    if len(set(lengths.values())) > 1:
        raise CalibrationError(f"the arrays of the data differ in their number of samples: {lengths}")
    return next(iter(lengths.values()), 0)


def _fixed_batch_size(specs: Sequence[InputSpec]) -> int | None:
    """The batch size that the inputs fix, or None where their first axis is free.

    Raises:
        CalibrationError: inputs fix different sizes, or the size 0.
    """
    sizes = {spec.name: spec.shape[0] for spec in specs if spec.shape and isinstance(spec.shape[0], int)}
    if len(set(sizes.values())) > 1:
        raise CalibrationError(
            f"inputs of the model fix first axes of different sizes, {sizes}, so arrays cannot be split into feeds; "
            "give an iterable of feeds"
        )
    for name, size in sizes.items():
        if size == 0:
            raise CalibrationError(
                f"the model fixes the first axis of input '{name}' to size 0, so that no sample fits; save it with a "
                "symbolic size in place of 0"
            )
    return next((int(size) for size in sizes.values()), None)

# SPDX-License-Identifier: Apache-2.0
"""Arrays whose first axis counts samples, cut into feeds."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from onnx_snn.data.specs import Feed, InputSpec, suggestion
from onnx_snn.errors import CalibrationError

logger = logging.getLogger(__name__)


def shared_inputs(specs: Sequence[InputSpec]) -> frozenset[str]:
    """Inputs that all samples of a feed share: of one element, beside inputs whose first axis is free.

    Such is the `use_cache_branch` of a decoder that holds two in one.
    """
    single = frozenset(spec.name for spec in specs if spec.shape == (1,))
    rest = [spec.shape[0] for spec in specs if spec.shape and spec.name not in single]
    return single if rest and not any(isinstance(size, int) for size in rest) else frozenset()


class Batches:
    """Feeds of a few samples each, cut from arrays whose first axis counts samples.

    An input that the samples of a feed share has one element for all samples, or one for each: then feeds end where
    it changes.

    Args:
        arrays: by name; what is no input of the model is left out.
        specs: the inputs of the model.
        batch_size: samples in a feed, unless the model fixes another number.
        max_samples: use at most this many samples.

    Raises:
        CalibrationError: an input is missing, or the arrays differ in their number of samples.
    """

    def __init__(
        self,
        arrays: Mapping[str, Any],
        specs: Sequence[InputSpec],
        batch_size: int,
        max_samples: int | None,
    ) -> None:
        # Arrays that are no model input, such as labels, may lie beside those that are.
        missing = [spec.name for spec in specs if spec.name not in arrays]
        if missing:
            found = suggestion(missing[0], arrays)
            raise CalibrationError(f"the calibration data lacks model input '{missing[0]}'{found}")
        self._arrays = {spec.name: np.asarray(arrays[spec.name]) for spec in specs}
        self._shared = shared_inputs(specs)
        samples = _common_length(self._arrays, self._shared)
        fixed = _fixed_batch_size([spec for spec in specs if spec.name not in self._shared])
        self._step = batch_size if fixed is None else fixed
        self._samples = samples if max_samples is None else min(samples, max_samples)
        if fixed is not None and self._samples % fixed:
            self._samples -= self._samples % fixed
            logger.warning("the model fixes batches of %s: %s of %s samples used", fixed, self._samples, samples)
        if self._samples == 0:
            raise CalibrationError(f"the calibration data has {samples} samples; the model takes {self._step}")

    def __len__(self) -> int:
        return len(self._spans())

    def __iter__(self) -> Iterator[Feed]:
        for start, stop in self._spans():
            yield {
                name: array[start:stop] if name not in self._shared else array[start:][:1] if len(array) > 1 else array
                for name, array in self._arrays.items()
            }

    def _spans(self) -> list[tuple[int, int]]:
        """First sample of each feed, and the one after its last."""
        changes = (np.flatnonzero(self._arrays[name][1:] != self._arrays[name][:-1]) + 1 for name in self._shared)
        edges = sorted({0, *(int(edge) for found in changes for edge in found if edge < self._samples), self._samples})
        return [
            (start, min(start + self._step, end))
            for begin, end in itertools.pairwise(edges)
            for start in range(begin, end, self._step)
        ]


def _common_length(arrays: Feed, shared: Collection[str]) -> int:
    scalars = [name for name, array in arrays.items() if array.ndim == 0]
    if scalars:
        raise CalibrationError(
            f"calibration array '{scalars[0]}' is a scalar; its first axis must count samples (an input that "
            "all samples share needs an iterable of feeds)"
        )
    lengths = {name: len(array) for name, array in arrays.items() if name not in shared or len(array) != 1}
    if len(set(lengths.values())) > 1:
        raise CalibrationError(f"calibration arrays differ in their number of samples: {lengths}")
    return next(iter(lengths.values()), 0)


def _fixed_batch_size(specs: Sequence[InputSpec]) -> int | None:
    sizes = {spec.name: spec.shape[0] for spec in specs if spec.shape and isinstance(spec.shape[0], int)}
    if len(set(sizes.values())) > 1:
        raise CalibrationError(
            f"the model fixes different first axes, {sizes}: arrays cannot be cut into feeds; give an iterable of feeds"
        )
    return next((int(size) for size in sizes.values()), None)

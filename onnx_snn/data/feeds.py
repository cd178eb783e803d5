# SPDX-License-Identifier: Apache-2.0
"""Readers of calibration and evaluation data: whatever users have becomes a sequence of checked feeds.

`open_feeds` accepts

- a reader with onnxruntime's `CalibrationDataReader` interface: `get_next()` returns a feed, at last None;
- an iterable of feeds (dicts from input name to array);
- a dict of arrays, or an .npz file, with one array per model input whose first axis counts samples;
- a folder of such .npz files, which may differ in the sizes of their arrays, or one in the layout of the ONNX backend
  tests: `test_data_set_<n>/input_<m>.pb`.

An input of one element that the samples of a feed share, such as the `use_cache_branch` of a decoder that is two in
one, comes in arrays as one element for all samples or as one for each.

Every feed is checked against the model's inputs, and a `Feeds` object can be iterated over as often as
needed: what comes from a source that can be read only once is kept on disk.
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

from onnx_snn.data.specs import Feed, InputSpec, check_feed, sample_count, suggestion
from onnx_snn.errors import CalibrationError

logger = logging.getLogger(__name__)


@runtime_checkable
class DataReader(Protocol):
    """What onnxruntime calls a `CalibrationDataReader`."""

    def get_next(self) -> Mapping[str, Any] | None:
        """The next feed, or None after the last one."""


Source: TypeAlias = "DataReader | Iterable[Mapping[str, Any]] | Mapping[str, Any] | str | os.PathLike[str]"


class Feeds:
    """A sequence of feeds, checked as they are read, that can be iterated over again and again.

    Attributes:
        batches: Number of feeds, or None while it is unknown.
    """

    def __init__(
        self,
        source: Iterable[Mapping[str, Any]],
        specs: Sequence[InputSpec],
        *,
        max_samples: int | None = None,
    ) -> None:
        self.batches = len(source) if isinstance(source, Sized) and max_samples is None else None
        self._source = _Replay(source) if isinstance(source, Iterator) else source
        self._specs = specs
        self._max_samples = max_samples

    def __iter__(self) -> Iterator[Feed]:
        """Feeds that hold exactly the model's inputs.

        Raises:
            CalibrationError: a feed does not fit the model, or there is none.
        """
        batches = samples = 0
        for feed in self._source:
            checked = check_feed(feed, self._specs, where=f"calibration feed {batches}")
            batches += 1
            samples += sample_count(checked)
            yield checked
            if self._max_samples is not None and samples >= self._max_samples:
                break
        if batches == 0:
            raise CalibrationError("the calibration data is empty; give at least one sample")
        self.batches = batches

    def singles(self) -> Iterator[Feed]:
        """Feeds of one sample each; those of the source where the model fixes the batch or an input has none.

        Raises:
            CalibrationError: a feed does not fit the model, or there is none.
        """
        for feed in self:
            yield from self.split(feed)

    def split(self, feed: Feed) -> Iterator[Feed]:
        """The samples of `feed`, one of these feeds; all in one where they cannot be told apart."""
        shared = _shared_inputs(self._specs)
        own = {name: array for name, array in feed.items() if name not in shared}
        free = all(spec.shape and not isinstance(spec.shape[0], int) for spec in self._specs if spec.name in own)
        if not free or len({len(array) for array in own.values()}) > 1:
            yield feed
            return
        for i in range(sample_count(own)):
            yield feed | {name: array[i : i + 1] for name, array in own.items()}

    def first(self) -> Feed:
        """The first feed."""
        return next(iter(self))


def open_feeds(
    source: Source,
    model_inputs: Sequence[InputSpec],
    *,
    batch_size: int = 8,
    max_samples: int | None = None,
) -> Feeds:
    """Open calibration data and check its first feed.

    Args:
        source: One of the forms that the module lists.
        model_inputs: What the model expects, from `onnx_snn.data.specs.input_specs`.
        batch_size: Samples a feed where arrays are cut into feeds; a batch size that the model fixes wins.
        max_samples: Stop after the feed that reaches this many samples.

    Raises:
        CalibrationError: the source cannot be read, is empty or does not fit the model.
    """
    if batch_size < 1 or (max_samples is not None and max_samples < 1):
        raise CalibrationError(f"batch_size {batch_size} and max_samples {max_samples} must be at least 1")
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if not path.exists():
            raise CalibrationError(f"calibration data '{path}' does not exist")
        source = _read_npz(path, model_inputs) if path.is_file() else _open_folder(path, model_inputs, batch_size)
    if isinstance(source, Mapping):
        source, max_samples = _Batches(source, model_inputs, batch_size, max_samples), None
    elif isinstance(source, DataReader):
        source = iter(source.get_next, None)
    elif not isinstance(source, Iterable):
        raise CalibrationError(
            f"calibration data is a {type(source).__name__}; expected a reader with get_next(), an "
            "iterable of dicts, a dict of arrays, an .npz file, or a folder of .npz files or of "
            "test_data_set_<n>/input_<m>.pb"
        )
    feeds = Feeds(source, model_inputs, max_samples=max_samples)
    feeds.first()
    return feeds


def _shared_inputs(specs: Sequence[InputSpec]) -> frozenset[str]:
    """Inputs that all samples of a feed share: of one element, beside inputs whose first axis is free.

    Such is the `use_cache_branch` of a decoder that holds two in one.
    """
    single = frozenset(spec.name for spec in specs if spec.shape == (1,))
    rest = [spec.shape[0] for spec in specs if spec.shape and spec.name not in single]
    return single if rest and not any(isinstance(size, int) for size in rest) else frozenset()


class _Replay:
    """An iterator that can be iterated over again: what it gave is kept in a temporary file."""

    def __init__(self, iterator: Iterator[Mapping[str, Any]]) -> None:
        self._iterator = iterator
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the object
        self._offsets: list[int] = []

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        position = 0
        while position < len(self._offsets) or self._read_one():
            self._file.seek(self._offsets[position])
            yield pickle.load(self._file)
            position += 1

    def _read_one(self) -> bool:
        """Move one feed from the iterator to the file; False at its end."""
        feed = next(self._iterator, None)
        if feed is None:
            return False
        self._offsets.append(self._file.seek(0, os.SEEK_END))
        if isinstance(feed, Mapping):
            feed = {name: np.asarray(array) for name, array in feed.items()}
        pickle.dump(feed, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        return True


class _Batches:
    """Arrays whose first axis counts samples, cut into feeds.

    An input that the samples of a feed share has one element for all samples, or one for each: then feeds end where
    it changes.
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
        self._shared = _shared_inputs(specs)
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


def _read_npz(path: Path, specs: Sequence[InputSpec]) -> Feed:
    """The arrays of an .npz file that are model inputs, or all where one is missing."""
    with open_npz(path) as file:
        wanted = [spec.name for spec in specs]
        names = wanted if set(wanted) <= set(file.files) else file.files
        return {name: file[name] for name in names}


@contextmanager
def open_npz(path: str | os.PathLike[str]) -> Iterator[np.lib.npyio.NpzFile]:
    """The arrays of an .npz file by name.

    Raises:
        CalibrationError: it cannot be read.
    """
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise CalibrationError(f"'{path}' holds one array; save one per model input with np.savez")
        with file:
            yield file
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CalibrationError(f"cannot read '{path}' as an .npz file: {error}") from error


def _open_folder(path: Path, specs: Sequence[InputSpec], batch_size: int) -> Iterable[Feed]:
    """The feeds of a folder."""
    sets = sorted(path.glob("test_data_set_*"), key=_trailing_number)
    if sets:
        return _DataSets(sets, specs)
    archives = sorted(path.glob("*.npz"))
    if not archives:
        raise CalibrationError(f"folder '{path}' has neither .npz files nor test_data_set_<n>/input_<m>.pb")
    return _Archives(archives, specs, batch_size)


class _Archives:
    """The feeds of several .npz files, one file after the other."""

    def __init__(self, paths: Sequence[Path], specs: Sequence[InputSpec], batch_size: int) -> None:
        self._paths, self._specs, self._batch_size = paths, specs, batch_size

    def __iter__(self) -> Iterator[Feed]:
        for path in self._paths:
            yield from _Batches(_read_npz(path, self._specs), self._specs, self._batch_size, None)


class _DataSets:
    """`test_data_set_<n>/input_<m>.pb` files: one feed a data set."""

    def __init__(self, sets: Sequence[Path], specs: Sequence[InputSpec]) -> None:
        self._sets, self._specs = sets, specs

    def __len__(self) -> int:
        return len(self._sets)

    def __iter__(self) -> Iterator[Feed]:
        for data_set in self._sets:
            files = sorted(data_set.glob("input_*.pb"), key=_trailing_number)
            yield dict(self._read(file) for file in files)

    def _read(self, file: Path) -> tuple[str, NDArray[Any]]:
        """Name and array of one file; a tensor that carries no input's name goes by the file's number."""
        tensor = onnx.TensorProto()
        try:
            tensor.ParseFromString(file.read_bytes())
            array = onnx.numpy_helper.to_array(tensor)
        except (DecodeError, OSError, ValueError, TypeError) as error:
            raise CalibrationError(f"cannot read '{file}' as a tensor: {error}") from error
        names = [spec.name for spec in self._specs]
        number = _trailing_number(file)
        if tensor.name not in names and number < len(names):
            return names[number], array
        return tensor.name, array


def _trailing_number(path: Path) -> int:
    digits = path.stem.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else -1

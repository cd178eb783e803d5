# SPDX-License-Identifier: Apache-2.0
"""Files of calibration and evaluation data: .npz archives, and TensorProto files as ONNX backend tests have them."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

from onnx_snn.data.batches import Batches
from onnx_snn.data.specs import Feed, InputSpec
from onnx_snn.errors import CalibrationError


def check_exists(path: str | os.PathLike[str]) -> None:
    """Refuse a data file or folder that does not exist.

    Raises:
        CalibrationError: it does not.
    """
    if not Path(path).exists():
        raise CalibrationError(f"data file '{path}' does not exist; give an .npz file or a folder")


def read_npz(path: Path, specs: Sequence[InputSpec]) -> Feed:
    """The arrays of an .npz file that are model inputs; all of its arrays where a model input is missing.

    Raises:
        CalibrationError: the file cannot be read.
    """
    with open_npz(path) as file:
        wanted = [spec.name for spec in specs]
        names = wanted if set(wanted) <= set(file.files) else file.files
        return {name: file[name] for name in names}


@contextmanager
def open_npz(path: str | os.PathLike[str]) -> Iterator[np.lib.npyio.NpzFile]:
    """An open .npz file, whose arrays are read by name.

    Raises:
        CalibrationError: the file does not exist, cannot be read, or holds a single array without a name.
    """
    check_exists(path)
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise CalibrationError(f"'{path}' holds one array; save one per model input with np.savez")
        with file:
            yield file
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CalibrationError(f"cannot read '{path}' as an .npz file: {error}") from error


def open_folder(path: Path, specs: Sequence[InputSpec], batch_size: int) -> Iterable[Feed]:
    """The feeds of a folder of .npz files, or of a folder in the layout of the ONNX backend tests.

    Raises:
        CalibrationError: the folder has neither kind of file.
    """
    sets = sorted(path.glob("test_data_set_*"), key=_trailing_number)
    if sets:
        return DataSets(sets, specs)
    archives = sorted(path.glob("*.npz"))
    if not archives:
        raise CalibrationError(f"folder '{path}' has neither .npz files nor test_data_set_<n>/input_<m>.pb")
    return Archives(archives, specs, batch_size)


class Archives:
    """The feeds of several .npz files, file by file; files may differ in the sizes of their arrays."""

    def __init__(self, paths: Sequence[Path], specs: Sequence[InputSpec], batch_size: int) -> None:
        self._paths, self._specs, self._batch_size = paths, specs, batch_size

    def __iter__(self) -> Iterator[Feed]:
        for path in self._paths:
            yield from Batches(read_npz(path, self._specs), self._specs, self._batch_size, None)


class DataSets:
    """The feeds of `test_data_set_<n>/input_<m>.pb` files: one feed for each data set."""

    def __init__(self, sets: Sequence[Path], specs: Sequence[InputSpec]) -> None:
        self._sets, self._specs = sets, specs

    def __len__(self) -> int:
        return len(self._sets)

    def __iter__(self) -> Iterator[Feed]:
        for data_set in self._sets:
            files = sorted(data_set.glob("input_*.pb"), key=_trailing_number)
            yield dict(self._read(file) for file in files)

    def _read(self, file: Path) -> tuple[str, NDArray[Any]]:
        """Input name and array of one file; a tensor without the name of an input belongs to input <m>.

        Raises:
            CalibrationError: the file is not a TensorProto.
        """
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
    """The number after the last underscore of a file name; -1 where there is none."""
    digits = path.stem.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else -1

# SPDX-License-Identifier: Apache-2.0
"""TensorProto files in the layout of the ONNX backend tests: `test_data_set_<n>/input_<m>.pb`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

from onnx_snn.data.data_files import Request
from onnx_snn.data.drawing import evenly_spaced
from onnx_snn.data.specs import Feed
from onnx_snn.errors import CalibrationError

DATA_SETS = "test_data_set_*"
"""Pattern of the folders with one feed each."""


class DataSets:
    """The feeds of `test_data_set_<n>/input_<m>.pb` files: one feed for each data set."""

    def __init__(self, request: Request) -> None:
        sets = sorted(request.path.glob(DATA_SETS), key=_trailing_number)
        if request.evenly and request.max_samples is not None:
            sets = [sets[i] for i in evenly_spaced(len(sets), request.max_samples)]
        self._sets, self._specs = sets, request.specs

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

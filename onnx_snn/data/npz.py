# SPDX-License-Identifier: Apache-2.0
"""Archives of NumPy arrays that are not trusted: no pickles, no array larger than the file says or a limit allows."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from onnx_snn.errors import CalibrationError, OnnxSnnError
from onnx_snn.limits import ARRAY_BYTES

Result = TypeVar("Result")

SUFFIX = ".npy"
"""Suffix of the members that are arrays."""


def npz_names(path: Path) -> list[str]:
    """Names of the arrays in an .npz file.

    Raises:
        CalibrationError: it cannot be read, or is no archive.
    """
    return _guarded(path, lambda archive: list(_members(archive)))


def read_npz(path: Path, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file by name; all of them, or those in `names`.

    Raises:
        CalibrationError: it cannot be read, lacks an array, or has one that is longer than its part of the file, is
            larger than `onnx_snn.limits.ARRAY_BYTES` allows, or holds Python objects.
    """

    def read(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
        members = _members(archive)
        wanted = members if names is None else names
        return {name: _array(archive, members[name], f"'{name}' in '{path}'") for name in wanted}

    return _guarded(path, read)


def _guarded(path: Path, read: Callable[[zipfile.ZipFile], Result]) -> Result:
    """What `read` makes of the archive at `path`."""
    try:
        with path.open("rb") as file:
            if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                raise CalibrationError(
                    f"'{path}' holds one array; save one per model input with np.savez, or name the file .npy"
                )
        with zipfile.ZipFile(path) as archive:
            return read(archive)
    except OnnxSnnError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise whatever their parts raise on a broken archive
        raise CalibrationError(f"cannot read '{path}' as an .npz file: {error or type(error).__name__}") from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The arrays of an archive by name."""
    return {info.filename.removesuffix(SUFFIX): info for info in archive.infolist()}


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, what: str) -> NDArray[Any]:
    with archive.open(info) as file:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise CalibrationError(f"{what} holds Python objects; save arrays of numbers or of fixed-width strings")
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size > info.file_size:
        raise CalibrationError(f"{what} announces {size} bytes, but {info.file_size} are there; save it anew")
    if size > ARRAY_BYTES.value:
        raise CalibrationError(f"{what} has {size} bytes, more than {ARRAY_BYTES.value}; {ARRAY_BYTES.remedy}")
    with archive.open(info) as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))

# SPDX-License-Identifier: Apache-2.0
"""Arrays in files of NumPy: .npz with one array for each input, a folder of such files, and .npy for a single input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.data.batches import LABELS, Batches
from onnx_snn.data.data_files import Request
from onnx_snn.data.drawing import evenly_spaced
from onnx_snn.data.npz import npz_names, read_npz
from onnx_snn.data.specs import Feed, InputSpec, sample_count
from onnx_snn.errors import CalibrationError


def open_archive(request: Request) -> Feed:
    """The arrays of an .npz file."""
    return _arrays(request.path, request.specs)


def _arrays(path: Path, specs: Sequence[InputSpec]) -> Feed:
    """The arrays of an .npz file that are model inputs, and its labels; all arrays where a model input is missing.

    Raises:
        CalibrationError: the file cannot be read.
    """
    found, wanted = npz_names(path), [spec.name for spec in specs]
    complete = set(wanted) <= set(found)
    return read_npz(path, [name for name in found if name in (*wanted, LABELS)] if complete else found)


def open_array(request: Request) -> dict[str, NDArray[Any]]:
    """The array of an .npy file, mapped into memory, as the only input of the model.

    Raises:
        CalibrationError: the file cannot be read, or the model has several inputs.
    """
    names = [spec.name for spec in request.specs]
    if len(names) != 1:
        raise CalibrationError(
            f"'{request.path}' holds one array, and the model has the inputs {names}; save one array for each with "
            "np.savez"
        )
    try:
        return {names[0]: np.load(request.path, mmap_mode="r", allow_pickle=False)}
    except Exception as error:  # NumPy raises whatever its parts raise on a broken file
        raise CalibrationError(f"cannot read '{request.path}' as an .npy file: {error}") from error


class Archives:
    """The feeds of several .npz files, file by file; files may differ in the sizes of their arrays.

    Where samples are drawn evenly, each file gives a share in proportion to its size.

    Attributes:
        order: None, as the samples are in the order of the files.
        labels: the labels of all files, one after the other; None where a file has none, or where samples are drawn.
    """

    order = None

    def __init__(self, request: Request) -> None:
        self._request = request
        self._shares: dict[Path, int | None] = dict.fromkeys(sorted(request.path.glob("*.npz")))
        if request.evenly and request.max_samples is not None:
            ends = np.cumsum([sum(map(sample_count, self._batches(path, None))) for path in self._shares])
            drawn = np.searchsorted(evenly_spaced(int(ends[-1]), request.max_samples), ends)
            self._shares = dict(zip(self._shares, np.diff(drawn, prepend=0).tolist(), strict=True))

    @property
    def labels(self) -> NDArray[Any] | None:
        """The labels of all files, one after the other."""
        if any(share is not None for share in self._shares.values()):
            return None
        found = []
        for path in self._shares:
            if LABELS not in npz_names(path):
                return None
            found.append(read_npz(path, [LABELS])[LABELS])
        return np.concatenate(found)

    def __iter__(self) -> Iterator[Feed]:
        for path, share in self._shares.items():
            if share != 0:
                yield from self._batches(path, share)

    def _batches(self, path: Path, samples: int | None) -> Batches:
        arrays, request = _arrays(path, self._request.specs), self._request
        return Batches(arrays, request.specs, request.batch_size, samples, evenly=True)

# SPDX-License-Identifier: Apache-2.0
"""The kinds of data in files: what tells each of them, and what reads it. `kind_of` finds the one of a path.

A kind gives a dict of arrays, an iterable of feeds, or samples by index (`onnx_snn.data.sample_sets.SampleSet`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from onnx_snn.data.data_files import Request, files_in
from onnx_snn.data.kinds.archives import Archives, open_archive, open_array
from onnx_snn.data.kinds.audio import SUFFIXES as AUDIO
from onnx_snn.data.kinds.audio import Recordings
from onnx_snn.data.kinds.images import SUFFIXES as IMAGES
from onnx_snn.data.kinds.images import Images
from onnx_snn.data.kinds.scripts import open_script
from onnx_snn.data.kinds.tables import PARQUET, Table, is_dataset
from onnx_snn.data.kinds.tensor_files import DATA_SETS, DataSets
from onnx_snn.data.kinds.texts import SUFFIXES as TEXTS
from onnx_snn.data.kinds.texts import Texts
from onnx_snn.errors import CalibrationError


class Kind(NamedTuple):
    """A kind of data in files.

    Attributes:
        name: what messages call it.
        holds: whether a path that exists is of this kind.
        open: reads it.
    """

    name: str
    holds: Callable[[Path], bool]
    open: Callable[[Request], Any]


def _ends(suffix: str) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and path.suffix.lower() == suffix


def _has(pattern: str) -> Callable[[Path], bool]:
    return lambda path: path.is_dir() and any(path.glob(pattern))


def _holds(suffixes: frozenset[str]) -> Callable[[Path], bool]:
    return lambda path: bool(files_in(path, suffixes))


KINDS = (
    Kind("an .npz file", _ends(".npz"), open_archive),
    Kind("an .npy file", _ends(".npy"), open_array),
    Kind("a Python file with a reader", _ends(".py"), open_script),
    Kind("a folder that datasets saved", is_dataset, Table),
    Kind("a folder of test_data_set_<n>/input_<m>.pb", _has(DATA_SETS), DataSets),
    Kind("a folder of .npz files", _has("*.npz"), Archives),
    Kind("Parquet files", _holds(PARQUET), Table),
    Kind("images (.jpg, .png, ...)", _holds(IMAGES), Images),
    Kind("recordings (.wav, .flac, .ogg)", _holds(AUDIO), Recordings),
    Kind("texts (.txt)", _holds(TEXTS), Texts),
)
"""All kinds. The first one that holds a path is its kind."""


def open_files(request: Request) -> Any:
    """The data at the path of `request`, by its kind.

    Raises:
        CalibrationError: the path does not exist, is of no kind, or cannot be read.
    """
    path = request.path
    if not path.exists():
        raise CalibrationError(f"data file '{path}' does not exist; give an .npz file or a folder")
    for kind in KINDS:
        if kind.holds(path):
            return kind.open(request)
    what = "folder" if path.is_dir() else "file"
    raise CalibrationError(f"{what} '{path}' is no data that can be read; expected {', '.join(k.name for k in KINDS)}")

# SPDX-License-Identifier: Apache-2.0
"""Tables, read by the package `datasets`: folders as `save_to_disk` writes them, and Parquet files.

Columns with the names of all model inputs are taken as they are. Otherwise the table has a column of images, audio or
texts, which become inputs as files of that kind do. Rows are read from the disk when they are needed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.data.data_files import Request, files_in, required
from onnx_snn.data.kinds.table_columns import label_column, label_name, medium_for, medium_of, readers
from onnx_snn.data.processors import as_inputs
from onnx_snn.data.sample_sets import SampleSet, stacked
from onnx_snn.data.specs import Feed
from onnx_snn.errors import CalibrationError

DATASET, SPLITS = "state.json", "dataset_dict.json"
"""Files in a folder of one data set, and of several splits of one."""

PARQUET = frozenset((".parquet",))
"""Ends of the names of Parquet files."""


def is_dataset(path: Path) -> bool:
    """Whether `path` is a folder as `save_to_disk` writes it."""
    return (path / DATASET).is_file() or (path / SPLITS).is_file()


class Table(SampleSet):
    """The rows of a table.

    Raises:
        CalibrationError: a package is missing, the table cannot be read, or nothing says which column is the input.
    """

    def __init__(self, request: Request) -> None:
        self._path, self._specs, self._medium = request.path, request.specs, medium_for(request.specs)
        self._unpacked = tempfile.TemporaryDirectory()  # holds Parquet files in a form whose rows can be read singly
        rows = self._load()
        self._table, self._files = rows, request.files
        names = [spec.name for spec in request.specs]
        self._read = None
        if request.files.columns or not set(names) <= set(rows.column_names):
            names = self._found(rows, request)
            self._read = readers[self._medium](request.files, request.specs)
        library = required("datasets", "datasets", "reading tables")
        for name in names:
            feature = rows.features[name]
            if isinstance(feature, (library.Image, library.Audio)):
                rows = rows.cast_column(name, type(feature)(decode=False))
        self._rows = rows.select_columns(names)

    @cached_property
    def labels(self) -> NDArray[Any] | None:
        """The labels of the rows, by `onnx_snn.data.kinds.table_columns.label_column`."""
        return label_column(self._table, self._files)

    def __len__(self) -> int:
        return len(self._rows)

    def feeds(self, indices: Sequence[int]) -> Iterator[Feed]:
        """The rows `indices`."""
        rows = self._rows.select(list(indices))
        where = [f"row {index} of '{self._path}'" for index in indices]
        if self._read is not None:
            return self._read([tuple(row.values()) for row in rows], where)
        arrays = rows.with_format("numpy")
        return stacked(
            as_inputs({name: np.asarray(value)[None] for name, value in row.items()}, self._specs, place)
            for row, place in zip(arrays, where, strict=True)
        )

    def _load(self) -> Any:
        """The table.

        Raises:
            CalibrationError: it cannot be read, or holds several splits.
        """
        library = required("datasets", "datasets", "reading tables")
        quiet = library.are_progress_bars_disabled()
        library.disable_progress_bars()
        try:
            if self._path.is_dir() and is_dataset(self._path):
                loaded = library.load_from_disk(str(self._path))
            else:
                files = [str(file) for file in files_in(self._path, PARQUET)]
                loaded = library.Dataset.from_parquet(files, cache_dir=self._unpacked.name)
        except Exception as error:
            raise CalibrationError(f"cannot read '{self._path}' as a table: {error}") from error
        finally:
            if not quiet:
                library.enable_progress_bars()
        if isinstance(loaded, library.DatasetDict):
            splits = ", ".join(f"'{self._path / name}'" for name in loaded)
            raise CalibrationError(f"'{self._path}' holds several splits; name one of {splits}")
        return loaded

    def _found(self, rows: Any, request: Request) -> list[str]:
        """The columns from which the inputs are made: those that were named, or else the only one of the medium.

        Raises:
            CalibrationError: there is none, or several and none was named.
        """
        held = {name: medium_of(feature, self._medium) for name, feature in rows.features.items()}
        named, label = request.files.columns, label_name(rows)
        found = list(named) or [name for name in held if held[name] is self._medium and name != label]
        if any(held.get(name) is not self._medium for name in found) or len(found) != max(len(named), 1):
            inputs = [spec.name for spec in request.specs]
            kinds = ", ".join(f"{name} ({medium or 'other values'})" for name, medium in held.items())
            raise CalibrationError(
                f"'{self._path}' has the columns {kinds}; expected the model inputs {inputs} as columns, or one column "
                f"of {self._medium}: name it with --columns"
            )
        return found

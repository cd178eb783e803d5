# SPDX-License-Identifier: Apache-2.0
"""Columns of tables: what they hold, what makes inputs of it, and which one has the labels."""

from __future__ import annotations

import enum
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnx_snn.data.batches import IGNORED_LABEL, LABELS
from onnx_snn.data.data_files import DataFiles, required
from onnx_snn.data.kinds.audio import AudioReader
from onnx_snn.data.kinds.images import ImageReader
from onnx_snn.data.kinds.texts import TextReader
from onnx_snn.data.labels import class_labels
from onnx_snn.data.processors import model_config
from onnx_snn.data.sample_sets import stacked
from onnx_snn.data.specs import Feed, InputSpec
from onnx_snn.errors import CalibrationError

LABEL_COLUMNS = ("label", LABELS)
"""Names of columns of labels, as the package `datasets` has them."""

Cells: TypeAlias = Sequence[tuple[Any, ...]]
"""Values of some columns, by row."""

Reader: TypeAlias = Callable[[Cells, Sequence[str]], Iterator[Feed]]
"""Function that makes feeds of rows; the strings are what messages call each row."""


class Medium(enum.Enum):
    """What a column holds that becomes inputs."""

    IMAGES = "images"
    AUDIO = "audio"
    TEXTS = "texts"

    def __str__(self) -> str:
        return self.value


def medium_for(specs: Sequence[InputSpec]) -> Medium:
    """What a model with these inputs reads: an input of four axes takes images, one of tokens or strings texts."""
    if any(len(spec.shape) == 4 for spec in specs):
        return Medium.IMAGES
    return Medium.TEXTS if any(spec.dtype.kind in "iO" and len(spec.shape) <= 2 for spec in specs) else Medium.AUDIO


def medium_of(feature: Any, expected: Medium) -> Medium | None:
    """What a column of type `feature` holds; None for numbers and the like.

    Bytes without a further type are what is `expected`, images or audio.
    """
    library = required("datasets", "datasets", "reading tables")
    if isinstance(feature, library.Image):
        return Medium.IMAGES
    if isinstance(feature, library.Audio):
        return Medium.AUDIO
    fields = feature if isinstance(feature, dict) else {}
    kind = feature.dtype if isinstance(feature, library.Value) else ""
    if "bytes" in fields or "binary" in kind:
        return expected if expected is not Medium.TEXTS else None
    if {"array", "sampling_rate"} <= fields.keys():
        return Medium.AUDIO
    return Medium.TEXTS if "string" in kind else None


def label_name(rows: Any) -> str | None:
    """The column with the labels of a table: "label" or "labels", else its only column of class labels."""
    library = required("datasets", "datasets", "reading tables")
    classes = [name for name, feature in rows.features.items() if isinstance(feature, library.ClassLabel)]
    named = [name for name in LABEL_COLUMNS if name in rows.column_names]
    return next(iter(named), classes[0] if len(classes) == 1 else None)


def label_column(rows: Any, files: DataFiles) -> NDArray[np.int64] | None:
    """The labels of a table.

    Numbers are taken as they are, names of classes as `onnx_snn.data.labels.class_labels` has them. A class label of -1
    stands for none.

    Returns:
        int64 [rows] or [rows, length]; None if no column has labels.

    Raises:
        CalibrationError: the labels are neither integers nor names.
    """
    column = label_name(rows)
    if column is None:
        return None
    values, names = rows[column][:], getattr(rows.features[column], "names", None)
    if values and isinstance(values[0], str):
        return class_labels(values, files)
    if names is not None and set(names) <= (model_config(files).get("label2id") or {}).keys():
        numbers = class_labels(names, files)
        return np.array([IGNORED_LABEL if value < 0 else numbers[value] for value in values], np.int64)
    try:
        labels = np.array(values)
    except ValueError:
        labels = np.empty(0)
    if labels.dtype.kind not in "biu":
        raise CalibrationError(
            f"column {column!r} of '{files.path}' holds neither integers of one length nor names of classes, so that "
            "it has no labels; rename it"
        )
    return labels.astype(np.int64)


def _image_reader(files: DataFiles, specs: Sequence[InputSpec]) -> Reader:
    reader = ImageReader(files, specs)
    return lambda rows, where: stacked(
        reader.feed(_file(cell, place), place) for (cell, *_), place in zip(rows, where, strict=True)
    )


def _audio_reader(files: DataFiles, specs: Sequence[InputSpec]) -> Reader:
    reader = AudioReader(files, specs)

    def feed(cell: Any, place: str) -> Feed:
        if isinstance(cell, Mapping) and cell.get("array") is not None:
            return reader.samples_feed(np.asarray(cell["array"], np.float32), place, int(cell["sampling_rate"]))
        return reader.feed(_file(cell, place), place)

    return lambda rows, where: stacked(feed(cell, place) for (cell, *_), place in zip(rows, where, strict=True))


def _text_reader(files: DataFiles, specs: Sequence[InputSpec]) -> Reader:
    reader = TextReader(files, specs)
    return lambda rows, where: reader.feeds([row if len(row) > 1 else row[0] for row in rows], where)


readers: Mapping[Medium, Callable[[DataFiles, Sequence[InputSpec]], Reader]] = {
    Medium.IMAGES: _image_reader,
    Medium.AUDIO: _audio_reader,
    Medium.TEXTS: _text_reader,
}
"""What makes inputs of each medium, for the data and the inputs of a model."""


def _file(cell: Any, place: str) -> Any:
    """A cell as an open file, or as the path of one.

    Raises:
        CalibrationError: the cell is empty.
    """
    content = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if isinstance(content, bytes):
        return io.BytesIO(content)
    path = cell.get("path") if isinstance(cell, Mapping) else None
    if path is None:
        raise CalibrationError(f"{place} holds neither bytes nor the path of a file")
    return path

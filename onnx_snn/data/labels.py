# SPDX-License-Identifier: Apache-2.0
"""Labels of samples, from names of classes: those of folders, or of a column of a table."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.data.data_files import DataFiles
from onnx_snn.data.processors import model_config
from onnx_snn.data.specs import suggestion
from onnx_snn.errors import CalibrationError

logger = logging.getLogger(__name__)


def folder_labels(paths: Sequence[Path], files: DataFiles) -> NDArray[np.int64] | None:
    """The label of each file by the name of its folder; None where the files are not in folders of their classes.

    Returns:
        int64 [files]; None if all files are in one folder, or some lie in that of the data itself.

    Raises:
        CalibrationError: the model knows some of the classes and not others.
    """
    root, folders = Path(files.path), [path.parent for path in paths]
    names = [folder.name for folder in folders]
    if root in folders or len(set(names)) < 2:
        return None
    return class_labels(names, files)


def class_labels(names: Sequence[str], files: DataFiles) -> NDArray[np.int64]:
    """The label of each class name.

    By `label2id` in the config.json of the model. Names that it does not know are numbers, or else count in sorted
    order, which is that of ImageNet's synsets and of most data in folders.

    Returns:
        int64 [names].

    Raises:
        CalibrationError: the model knows some of the names and not others.
    """
    classes = sorted(set(names))
    ids: Mapping[str, Any] = model_config(files).get("label2id") or {}
    known = [name for name in classes if name in ids]
    if len(known) == len(classes):
        numbers = {name: int(ids[name]) for name in classes}
    elif known:
        unknown = next(name for name in classes if name not in ids)
        raise CalibrationError(
            f"'{files.path}' has the class {unknown!r}, which label2id in the config.json of the model does not "
            f"have{suggestion(unknown, ids)}"
        )
    elif all(name.isdecimal() for name in classes):
        numbers = {name: int(name) for name in classes}
    else:
        numbers = {name: number for number, name in enumerate(classes)}
        logger.warning(
            "'%s': the model has no label2id for its %s classes; they are numbered in sorted order, from %s = 0 to %s",
            files.path,
            len(classes),
            classes[0],
            classes[-1],
        )
    return np.array([numbers[name] for name in names], np.int64)

# SPDX-License-Identifier: Apache-2.0
"""Copies of models, with the files that hold their weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from onnx_snn.graph.source_files import source_files


def copy_model(file: Path, copy: Path) -> None:
    """Copy a model byte by byte, and its external data to where the copy looks for it.

    Raises:
        OSError: a file cannot be read or written.
    """
    shutil.copyfile(file, copy)
    folder = file.absolute().parent
    for data in source_files(file)[1:]:
        target = copy.parent / data.absolute().relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data, target)

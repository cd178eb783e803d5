# SPDX-License-Identifier: Apache-2.0
"""Folders as Optimum exports them: models and sidecar files (configuration, tokenizer, preprocessor)."""

from __future__ import annotations

import shutil
from pathlib import Path

from onnx_snn.errors import ModelError
from onnx_snn.output_files import PathLike, staged


def model_files(folder: PathLike) -> list[Path]:
    """The models of a folder by name, `model.onnx`, `encoder_model.onnx`, ...; not those of its subfolders.

    Raises:
        ModelError: it is no folder, or holds no .onnx file.
    """
    files = sorted(Path(folder).glob("*.onnx"))
    if not files:
        raise ModelError(f"folder '{folder}' holds no .onnx file")
    return files


def only_model(path: Path) -> Path:
    """The model that `path` names: a file itself, or the `model.onnx` of a folder.

    Raises:
        ModelError: there is none.
    """
    if not path.exists():
        raise ModelError(f"model '{path}' does not exist")
    if not path.is_dir():
        return path
    if (path / "model.onnx").exists():
        return path / "model.onnx"
    found = [file.name for file in model_files(path)]
    raise ModelError(f"folder '{path}' has no model.onnx; choose one of {found}")


def copy_sidecars(source: PathLike, destination: PathLike) -> list[Path]:
    """Copy the sidecar files of a folder.

    Models, their external data (names with `.onnx`, and `.data` files) and subfolders stay behind.

    Returns:
        The files written.

    Raises:
        OutputError: a file cannot be copied.
    """
    copied = []
    for file in sorted(Path(source).iterdir()):
        if not file.is_file() or ".onnx" in file.name or file.suffix == ".data":
            continue
        copied.append(Path(destination) / file.name)
        with staged(copied[-1]) as temporary:
            shutil.copy2(file, temporary)
    return copied

# SPDX-License-Identifier: Apache-2.0
"""Data in files, with what turns the files into inputs of a network."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from onnx_snn import extras
from onnx_snn.data.specs import InputSpec
from onnx_snn.errors import CalibrationError

Given = TypeVar("Given")


@dataclass(frozen=True)
class DataFiles:
    """A file or folder of data, wherever a function takes data: a path with what its files need beside it.

    Attributes:
        path: the file or folder.
        processor: preprocessor_config.json of images or audio, or a folder that has one; by default that of the folder
            of the data, else of the model.
        tokenizer: folder of the tokenizer of texts; by default that of the model.
        columns: columns of a table that hold the images, audio or texts; two for pairs of texts.
        model_folder: folder of the model; functions that know the model fill it in.
    """

    path: str | os.PathLike[str]
    processor: str | os.PathLike[str] | None = None
    tokenizer: str | os.PathLike[str] | None = None
    columns: tuple[str, ...] = ()
    model_folder: str | os.PathLike[str] | None = None

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def folders(self) -> list[Path]:
        """Folders where what the data needs may lie: that of the data, that of the model, and the one around it."""
        path = Path(self.path)
        found = [path if path.is_dir() else path.parent]
        if self.model_folder is not None:
            found += [Path(self.model_folder), Path(self.model_folder).resolve().parent]
        return found


class Request(NamedTuple):
    """What is asked of a kind of data.

    Attributes:
        files: the data.
        specs: the inputs of the model.
        batch_size: number of samples in a feed.
        max_samples: number of samples; None for all.
        evenly: take these at equal distances over all samples, in place of the first ones.
    """

    files: DataFiles
    specs: Sequence[InputSpec]
    batch_size: int = 8
    max_samples: int | None = None
    evenly: bool = False

    @property
    def path(self) -> Path:
        """The file or folder of the data."""
        return Path(self.files.path)


def with_model_folder(data: Given, model: object) -> Given | DataFiles:
    """`data` with the folder of `model`, if the data is a path and the model a file or folder; else `data` as it is."""
    if not isinstance(data, (str, os.PathLike)):
        return data
    files = data if isinstance(data, DataFiles) else DataFiles(data)
    if files.model_folder is not None or not isinstance(model, (str, os.PathLike)):
        return files
    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    return dataclasses.replace(files, model_folder=folder)


def data_paths(data: object) -> list[str | os.PathLike[str]]:
    """The files and folders that a source of data names; none for arrays and other data in memory."""
    if not isinstance(data, (str, os.PathLike)):
        return []
    named = [data.path, data.processor, data.tokenizer] if isinstance(data, DataFiles) else [data]
    return [path for path in named if path is not None]


def absolute(data: Given) -> Given | DataFiles:
    """`data`, if it is a path with absolute paths in place of relative ones; else `data` as it is."""
    if not isinstance(data, (str, os.PathLike)):
        return data
    files = data if isinstance(data, DataFiles) else DataFiles(data)

    def of(path: str | os.PathLike[str] | None) -> Path | None:
        return None if path is None else Path(path).absolute()

    return dataclasses.replace(
        files,
        path=Path(files.path).absolute(),
        processor=of(files.processor),
        tokenizer=of(files.tokenizer),
        model_folder=of(files.model_folder),
    )


def moved(data: Any, path: Path) -> DataFiles:
    """`data`, a path, with the file or folder `path` in its place."""
    return dataclasses.replace(data, path=path) if isinstance(data, DataFiles) else DataFiles(path)


def required(module: str, package: str, purpose: str) -> Any:
    """The module of an optional dependency.

    Args:
        module: its name.
        package: name of the package that has it.
        purpose: what it is needed for, in words.

    Raises:
        CalibrationError: it is not installed.
    """
    return extras.required(module, purpose, "data", package=package, error=CalibrationError)


def files_in(path: Path, suffixes: frozenset[str]) -> list[Path]:
    """The files with one of `suffixes` in a folder and all folders in it, sorted; or the file `path` itself."""
    candidates = [path] if path.is_file() else sorted(path.rglob("*"))
    return [
        file
        for file in candidates
        if file.suffix.lower() in suffixes and not file.name.startswith(".") and file.is_file()
    ]

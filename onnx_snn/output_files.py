# SPDX-License-Identifier: Apache-2.0
"""Atomic writing of files: each is written whole or not at all, and an existing one is replaced in one step."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from onnx_snn.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PathLike: TypeAlias = "str | os.PathLike[str]"

IN_USE = ".part"
"""Suffix of temporary folders."""


@contextmanager
def staged(path: PathLike) -> Iterator[Path]:
    """A temporary path with the same file name, renamed to `path` when the block ends and deleted when it raises.

    It lies in a temporary folder on the same file system as `path`. Sidecar files that are written there are deleted.

    Raises:
        OutputError: the file cannot be written (any OSError of the block), or `path` is a folder, device or pipe,
            which a rename would not write to but replace.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise OutputError(f"cannot write '{path}': it exists and is not a regular file")
    try:
        with temporary_folder(path) as folder:
            yield folder / path.name
            (folder / path.name).replace(path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error}") from error


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, which is going to be written, deleted at the end.

    While it is in use, its owner holds a lock on it. Folders for the same path without a lock are those of processes
    that were killed, and are deleted first.

    Raises:
        OSError: it cannot be made.
    """
    for abandoned in path.parent.glob(f".{glob.escape(path.name)}.*{IN_USE}"):
        with suppress(OSError), _locked(abandoned):
            shutil.rmtree(abandoned, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    folder = made.with_name(made.name + IN_USE)
    try:
        with _locked(made):
            # Under this name only when locked, so that no other process takes it for an abandoned one.
            made.rename(folder)
            yield folder
    finally:
        for each in (made, folder):
            shutil.rmtree(each, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which ends with the process; without locks on systems that have none for folders.

    Raises:
        OSError: another process holds it.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def write_text(path: PathLike, text: str) -> None:
    """Write `text` in UTF-8; a symbolic link stays, and the file that it leads to is replaced.

    Raises:
        OutputError: the file cannot be written.
    """
    with staged(Path(path).resolve()) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: PathLike, value: Any) -> None:
    """Write `value` as JSON, as `write_text` does.

    Raises:
        OutputError: the file cannot be written.
        ValueError: `value` holds NaN or an infinity, which JSON does not have.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")

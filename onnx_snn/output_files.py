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

_OWNED: set[Path] = set()
"""Temporary folders of this process, which holds their locks."""


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
    that were killed, and are deleted first. Where folders cannot be locked, all are left.

    Raises:
        OSError: it cannot be made.
    """
    for abandoned in path.parent.glob(f".{glob.escape(path.name)}.*{IN_USE}"):
        with suppress(OSError):
            lock = _lock(abandoned)
            if lock is not None:
                shutil.rmtree(abandoned, ignore_errors=True)
                _unlock(lock)
    folder, lock = _new_locked_folder(path)
    _OWNED.add(folder.resolve())
    try:
        yield folder
    finally:
        _OWNED.discard(folder.resolve())
        shutil.rmtree(folder, ignore_errors=True)
        _unlock(lock)


def _new_locked_folder(path: Path) -> tuple[Path, int | None]:
    """A new temporary folder beside `path`, and its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=IN_USE, dir=path.parent))
        # Before it is locked, another process may take it for an abandoned one.
        with suppress(FileNotFoundError, BlockingIOError):
            lock = _lock(folder)
            if folder.exists():
                return folder, lock
            _unlock(lock)


def _lock(folder: Path, *, wait: bool = False) -> int | None:
    """Lock a folder until `_unlock`, or the end of the process; None where folders cannot be locked.

    Raises:
        BlockingIOError: another process holds the lock, and this one does not `wait` for it.
        OSError: the folder cannot be opened.
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # a file system without locks
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def sole_committer(folder: Path) -> Iterator[None]:
    """Other processes wait that would put files into place in `folder` together, where folders can be locked.

    In a temporary folder of this process, which holds its lock already, no other one does.
    """
    lock = None
    if folder.resolve() not in _OWNED:
        with suppress(OSError):
            lock = _lock(folder, wait=True)
    try:
        yield
    finally:
        _unlock(lock)


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


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

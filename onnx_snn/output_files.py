# SPDX-License-Identifier: Apache-2.0
"""Atomic writing of files: each is written whole or not at all, and an existing one is replaced in one step."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from onnx_snn.errors import OutputError

PathLike: TypeAlias = "str | os.PathLike[str]"


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
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield folder / path.name
            (folder / path.name).replace(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error}") from error


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

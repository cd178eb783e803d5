# SPDX-License-Identifier: Apache-2.0
"""Checks of output paths before the work begins: an output must not overwrite an input or another output."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from onnx_snn.errors import OutputError

NETWORK_SUFFIX = ".onnx"
"""Suffix of files that are never data: in a folder of data they may be written again."""


def check_outputs(outputs: Mapping[str, object], inputs: Mapping[str, object] | None = None) -> None:
    """Refuse outputs that cannot be written, that would overwrite an input, or that are the same file.

    Files are compared as such, so that links do not hide that two names lead to the same one. Everything that exists in
    a folder of inputs is an input, networks apart.

    Args:
        outputs: path of each output by what it is, such as "report"; values that are no paths are passed over.
        inputs: path of each input by what it is, or a list of paths; values that are no paths, such as arrays, are
            passed over.

    Raises:
        OutputError: an output is an input, or another output; or it is a folder, a device, a pipe or a read-only file;
            or its folder is missing or read-only.
    """
    read = [(role, path) for role, value in (inputs or {}).items() for path in _paths(value)]
    written: list[tuple[str, Path]] = []
    for role, value in outputs.items():
        for path in _paths(value):
            _check_writable(role, path)
            for other, taken in read:
                if _same(path, taken):
                    raise OutputError(f"{role} '{path}' is the input '{taken}' ({other}); choose another name")
                if taken.is_dir() and path.suffix != NETWORK_SUFFIX and path.exists() and _lies_in(path, taken):
                    raise OutputError(f"{role} '{path}' is one of the input '{taken}' ({other}); choose another name")
            for other, taken in written:
                if _same(path, taken):
                    raise OutputError(f"{role} '{path}' is the {other} as well; choose another name for one of them")
            written.append((role, path))


def check_output_folder(role: str, folder: str | os.PathLike[str], inputs: Mapping[str, object]) -> None:
    """Refuse a folder, in which files are written, that is one of the inputs.

    Args:
        role: what the folder is.
        folder: its path.
        inputs: as for `check_outputs`.

    Raises:
        OutputError: it is an input.
    """
    for other, value in inputs.items():
        for taken in _paths(value):
            if _same(Path(folder), taken):
                raise OutputError(f"{role} '{folder}' is the input '{taken}' ({other}); choose another name")


def _paths(value: object) -> Iterator[Path]:
    """`value` if it is a path, or the paths in it if it is a list or a tuple."""
    values = value if isinstance(value, (list, tuple)) else [value]
    yield from (Path(each) for each in values if isinstance(each, (str, os.PathLike)))


def _check_writable(role: str, path: Path) -> None:
    if path.is_dir():
        raise OutputError(f"{role} '{path}' is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise OutputError(f"{role} '{path}': its folder '{path.parent}' does not exist; create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{role} '{path}': its folder is not writable")
    if not path.exists():
        return
    if not path.is_file():
        raise OutputError(f"{role} '{path}' exists and is not a regular file; choose another name")
    if not os.access(path, os.W_OK):
        raise OutputError(f"{role} '{path}' exists and is read-only; choose another name")


def _same(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same file, or would if it existed."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def _lies_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())

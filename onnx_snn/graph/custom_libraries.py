# SPDX-License-Identifier: Apache-2.0
"""Libraries of custom operators that a network needs, which accompany it in memory.

A library is registered with the options of every session of the network or of a copy of it. It is no part of a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from onnx_snn.errors import LibraryError
from onnx_snn.output_files import PathLike

LIBRARIES = "onnx_snn.custom_ops"
"""Key of the paths in the metadata of the main graph, which copies of a model keep and files do not."""


def set_libraries(model: ir.Model, libraries: Sequence[PathLike]) -> None:
    """Let `libraries` accompany `model`.

    Raises:
        LibraryError: there is no such file.
    """
    check_libraries(libraries)
    model.graph.meta[LIBRARIES] = tuple(str(Path(path).absolute()) for path in libraries)


def libraries_of(model: ir.Model) -> tuple[str, ...]:
    """Paths of the libraries that accompany `model`."""
    return tuple(model.graph.meta.get(LIBRARIES, ()))


def check_libraries(libraries: Sequence[PathLike]) -> None:
    """Refuse libraries that do not exist.

    Raises:
        LibraryError: a file is missing, or `libraries` is a single path.
    """
    if isinstance(libraries, str):
        raise LibraryError(f"custom_ops is {libraries!r}; give a list of paths: [{libraries!r}]")
    for path in libraries:
        if not Path(path).is_file():
            raise LibraryError(f"the library of custom operators '{path}' does not exist")

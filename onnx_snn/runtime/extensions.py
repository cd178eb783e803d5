# SPDX-License-Identifier: Apache-2.0
"""The library of onnxruntime-extensions, which sessions of networks with a tokenizer or image decoder need."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import onnxruntime as ort

from onnx_snn.errors import LibraryError
from onnx_snn.graph.protobuf_weights import imported_domains

DOMAINS = frozenset({"ai.onnx.contrib", "com.microsoft.extensions"})
"""Domains of its operators."""

LIBRARY, SUFFIXES = "_extensions_pydll", (".so", ".pyd", ".dll")
"""Name of its file in the package, and how names of libraries end."""

REGISTERED = "onnx_snn.extensions"
"""Key of the configuration entry that marks session options into which the library is registered."""


CONFLICT = "Conflicting with a registered kernel"
"""Part of onnxruntime's message when session options have the library registered twice."""


def extensions_library() -> str:
    """Path of the library.

    Raises:
        LibraryError: onnxruntime-extensions is not installed.
    """
    # The package imports Transformers where that is installed, which takes seconds; its library is all that is needed.
    package = importlib.util.find_spec("onnxruntime_extensions")
    folders = package.submodule_search_locations if package is not None else None
    for folder in folders or ():
        for library in sorted(Path(folder).glob(f"{LIBRARY}.*")):
            if library.suffix in SUFFIXES:
                return str(library)
    raise LibraryError(
        "the network has operators of onnxruntime-extensions, which is not installed; install it with: "
        "pip install 'onnx-snn[text]'"
    )


def needs_extensions(path: Path) -> bool:
    """Whether the network in `path` has operators of the library; False for what is no model."""
    return bool(DOMAINS & imported_domains(path))


def mark_extensions(options: ort.SessionOptions, library: str | Path) -> None:
    """Mark `options`, with which `library` was registered, if it is that of onnxruntime-extensions."""
    if Path(library).name.startswith(LIBRARY):
        options.add_session_config_entry(REGISTERED, "1")


def missing_extensions(options: ort.SessionOptions) -> list[str]:
    """The library, unless `options` are marked to have it.

    Raises:
        LibraryError: onnxruntime-extensions is not installed.
    """
    try:
        registered = bool(options.get_session_config_entry(REGISTERED))
    except RuntimeError:  # there is no such entry
        registered = False
    return [] if registered else [extensions_library()]

# SPDX-License-Identifier: Apache-2.0
"""The library of onnxruntime-extensions, which sessions of networks with a tokenizer or image decoder need."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
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


def missing_extensions(options: ort.SessionOptions, registered: Sequence[str | Path] = ()) -> list[str]:
    """The library, unless it is one of those `registered` or `options` are marked to have it; marks them.

    Raises:
        LibraryError: onnxruntime-extensions is not installed.
    """
    try:
        if options.get_session_config_entry(REGISTERED):
            return []
    except RuntimeError:  # there is no such entry
        pass
    options.add_session_config_entry(REGISTERED, "1")
    library = extensions_library()
    return [library] if library not in map(str, registered) else []

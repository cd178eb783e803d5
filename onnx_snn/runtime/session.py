# SPDX-License-Identifier: Apache-2.0
"""Sessions for converted networks: ordinary onnxruntime sessions, with the native kernels if they are installed.

A converted file runs in any onnxruntime by the ONNX functions in it. The library of kernels in the wheel is faster
and bit-identical. An installation that was built without a C++ compiler has no library; nothing else differs.
"""

from __future__ import annotations

import functools
import importlib.resources
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from onnx_snn.errors import LibraryError, ModelError
from onnx_snn.graph.custom_libraries import check_libraries
from onnx_snn.runtime.extensions import CONFLICT, mark_extensions, missing_extensions, needs_extensions
from onnx_snn.runtime.guarded_session import GuardedSession

logger = logging.getLogger(__name__)

CPU = ("CPUExecutionProvider",)
"""Execution providers of a session by default."""

LIBRARY = "onnx_snn_ops.dll" if sys.platform == "win32" else "libonnx_snn_ops.so"
"""File name of the library of kernels in the installed package."""

REGISTERED = "onnx_snn.library"
"""Key of the configuration entry that marks session options into which the library is registered. Registering it twice
is an error, which onnxruntime reports only when a session is created, and its options do not list their libraries."""

REGISTERED_TWICE = "Domain already set in registry"
"""Part of onnxruntime's message when session options have the library registered twice."""

ERRORS_ONLY = 3
"""Log level of onnxruntime at which it logs errors but no warnings."""


def find_library() -> Path | None:
    """Path of the library with the kernels; None if this installation has none."""
    library = Path(str(importlib.resources.files("onnx_snn").joinpath(LIBRARY)))
    return library if library.is_file() else None


def get_library_path() -> Path:
    """Path of the library with the kernels, to be registered with onnxruntime as a library of custom operators.

    Raises:
        LibraryError: this installation has none.
    """
    library = find_library()
    if library is None:
        raise LibraryError(
            f"this installation of onnx-snn has no {LIBRARY}, because it was built without a C++17 compiler; install "
            "a compiler, then reinstall onnx-snn (pip install --force-reinstall --no-deps onnx-snn), or run the "
            "network without kernels, by the functions in its file"
        )
    return library


def session_options(
    *, quiet: bool = False, kernels: bool = True, custom_ops: Sequence[str | Path] = ()
) -> ort.SessionOptions:
    """New options of an onnxruntime session, which has the kernels where they are installed.

    Args:
        quiet: log errors only, not onnxruntime's warnings about the graph.
        kernels: register the library; without it the functions in the file run, which give the same bits.
        custom_ops: further libraries of custom operators to register.

    Raises:
        LibraryError: onnxruntime cannot load a library.
    """
    options = ort.SessionOptions()
    if quiet:
        options.log_severity_level = ERRORS_ONLY
    if kernels:
        add_kernels(options)
    add_libraries(options, custom_ops)
    return options


def add_libraries(options: ort.SessionOptions, libraries: Sequence[str | Path]) -> None:
    """Register libraries of custom operators with `options`.

    Raises:
        LibraryError: a library does not exist, or onnxruntime cannot load it.
    """
    check_libraries(libraries)
    for library in libraries:
        _register(options, library)
        mark_extensions(options, library)


def add_kernels(options: ort.SessionOptions) -> None:
    """Register the library with `options`, unless this function has done so before or there is no library.

    Raises:
        LibraryError: onnxruntime cannot load the library.
    """
    library = find_library()
    if library is None:
        _tell_once_of_no_library()
    elif not _is_registered(options):
        add_libraries(options, [library])
        options.add_session_config_entry(REGISTERED, library.name)


def session(
    path: str | Path,
    *,
    providers: Sequence[Any] | None = None,
    session_options: ort.SessionOptions | None = None,
    kernels: bool = True,
    custom_ops: Sequence[str | Path] = (),
) -> ort.InferenceSession:
    """An ordinary onnxruntime session on a converted file, with the kernels where they are installed.

    Of a file with a range guard it warns once, by a `SaturationWarning`, when a run has elements beyond the range of a
    neuron (`onnx_snn.runtime.guarded_session`). The library of onnxruntime-extensions is registered as well where the
    file has its operators, as packed ones have.

    Args:
        path: converted (or any other) .onnx file.
        providers: execution providers as onnxruntime takes them; the CPU by default, which the kernels are for.
        session_options: options of the session; onnxruntime's defaults where None. The library is registered with
            them, once however many sessions they serve. Options into which you registered it by hand need
            `kernels=False`, because onnxruntime refuses it twice and does not tell beforehand.
        kernels: register the library; without it the functions in the file run, which give the same bits.
        custom_ops: further libraries of custom operators to register.

    Raises:
        ModelError: onnxruntime cannot load the file.
        LibraryError: onnxruntime cannot load a library, or the options had it already.
    """
    if not Path(path).is_file():
        raise ModelError(f"{path}: no such file; give the path of an .onnx file")
    options = session_options or ort.SessionOptions()
    if kernels:
        add_kernels(options)
    add_libraries(options, custom_ops)
    if needs_extensions(Path(path)):
        add_libraries(options, missing_extensions(options))
    try:
        return GuardedSession(str(path), options, providers=list(providers or CPU))
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        if REGISTERED_TWICE in str(error):
            raise LibraryError(
                "the session options had the library already; make new ones with onnx_snn.session_options(), "
                "or register it yourself and give kernels=False"
            ) from error
        if CONFLICT in str(error):
            raise LibraryError(
                "the session options had the library of onnxruntime-extensions already; leave it out, since it is "
                "registered where a file needs it"
            ) from error
        raise ModelError(f"{path}: onnxruntime cannot load it ({error})") from error


def _register(options: ort.SessionOptions, library: str | Path) -> None:
    try:
        options.register_custom_ops_library(str(library))
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise LibraryError(f"onnxruntime {ort.__version__} cannot load '{library}' ({error})") from error


def _is_registered(options: ort.SessionOptions) -> bool:
    try:
        return bool(options.get_session_config_entry(REGISTERED))
    except RuntimeError:  # there is no such entry
        return False


@functools.cache
def _tell_once_of_no_library() -> None:
    logger.info("no kernels in this installation: networks run by the functions in their files (same bits, slower)")

# SPDX-License-Identifier: Apache-2.0
"""Python files that define the data: a function `reader()`, or a class like onnxruntime's `CalibrationDataReader`."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from onnx_snn.data.data_files import Request
from onnx_snn.errors import CalibrationError, OnnxSnnError

FUNCTION = "reader"
"""Name of the function that returns the data: a reader, an iterable of feeds or a dict of arrays."""

METHOD = "get_next"
"""The method of a `CalibrationDataReader`: returns the next feed, and None after the last one."""


def open_script(request: Request) -> Mapping[str, Any] | Iterator[Any]:
    """The data that a Python file defines: the file is run.

    Raises:
        CalibrationError: the file fails, or does not define one reader.
    """
    path = request.path
    with _errors_of(path):
        source = _entry(_module(path), path)()
    return source if isinstance(source, Mapping) else _feeds(source, path)


def _feeds(source: Any, path: Path) -> Iterator[Any]:
    with _errors_of(path):
        yield from (iter(source.get_next, None) if hasattr(source, METHOD) else source)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise CalibrationError(f"'{path}' cannot be imported as a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _entry(module: ModuleType, path: Path) -> Callable[[], Any]:
    """The function `reader` of a module, or else the only class of a reader that it defines.

    Raises:
        CalibrationError: there is none, or there are several classes.
    """
    function = getattr(module, FUNCTION, None)
    if callable(function):
        return function  # type: ignore[no-any-return]
    own = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
    readers = [value for value in own if hasattr(value, METHOD)]
    if len(readers) == 1:
        return readers[0]
    found = f"the classes {[value.__name__ for value in readers]}" if readers else "neither"
    raise CalibrationError(
        f"'{path}' must define a function {FUNCTION}() that returns the data, or one class with {METHOD}() that is "
        f"made without arguments, such as a CalibrationDataReader; it defines {found}"
    )


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Errors of the user's code become errors that name its file and line.

    Raises:
        CalibrationError: the code fails.
    """
    try:
        yield
    except OnnxSnnError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f", line {frame.lineno}" for frame in reversed(frames) if frame.filename == str(path)), "")
        raise CalibrationError(f"'{path}'{line} fails: {type(error).__name__}: {error}") from error

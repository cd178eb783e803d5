# SPDX-License-Identifier: Apache-2.0
"""examples/c compiled, and run beside the onnxruntime of the Python package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import onnxruntime
import pytest
from numpy.typing import NDArray

import onnx_snn
from onnx_snn.runtime.extensions import extensions_library

EXAMPLES = Path(__file__).parents[1] / "examples"

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")

HEADERS = os.environ.get("ONNXRUNTIME_INCLUDE_DIR")
"""Folder of onnxruntime's own headers, where there is one."""


def compiler(name: str) -> str:
    """Path of a compiler, which the kernels need as well."""
    path = shutil.which(name)
    assert path is not None, f"there is no {name}"
    return path


def onnxruntime_library() -> Path:
    """The shared library in the Python package."""
    return next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))


def python_library() -> Path:
    """The shared library of Python, which onnxruntime-extensions in its Python package needs."""
    variables = sysconfig.get_config_vars()
    path = Path(variables["LIBDIR"], variables.get("INSTSONAME") or variables["LDLIBRARY"])
    if not path.name.startswith("libpython") or ".so" not in path.name or not path.is_file():
        pytest.skip("this Python has no shared library")
    return path


def classify(model: Path, argument: str | Path, folder: Path) -> list[tuple[str, str]]:
    """Labels and scores, as the C program writes them, of a packed network for a file or a text.

    Args:
        folder: where the program is compiled.
    """
    program = folder / "classify"
    source = EXAMPLES / "c" / "classify.c"
    command = [compiler("cc"), "-std=c99", "-O1", *WARNINGS, str(source), "-ldl", "-o", str(program)]
    subprocess.run(command, check=True)
    libraries = ["-g", str(python_library()), "-l", str(onnx_snn.get_library_path()), "-l", extensions_library()]
    arguments = ["-t", "1", str(onnxruntime_library()), str(model), str(argument)]
    done = subprocess.run([program, *libraries, *arguments], capture_output=True, text=True, check=True)
    return [(label, score) for label, _, score in (line.partition("\t") for line in done.stdout.splitlines())]


def written(labels: NDArray, scores: NDArray) -> list[tuple[str, str]]:
    """The answer of a session to one input, as the C program writes it."""
    return [(label, f"{score:.9g}") for label, score in zip(labels[0], scores[0], strict=True)]

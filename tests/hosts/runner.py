# SPDX-License-Identifier: Apache-2.0
"""Runs a model in a runtime that knows nothing of onnx_snn, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOSTS = Path(__file__).parent

BACKENDS = ("python", "reference", "node", "web")
"""onnxruntime in Python, ONNX's reference evaluator, onnxruntime-node, onnxruntime-web (WebAssembly)."""

INSTALL = "npm ci"
"""What installs the JavaScript runtimes, run in this folder."""


def javascript_missing() -> str | None:
    """What keeps "node" and "web" from running, if anything does."""
    for package in ("onnxruntime-node", "onnxruntime-web"):
        if not (HOSTS / "node_modules" / package / "package.json").is_file():
            return f"{package} is not installed; run `{INSTALL}` in {HOSTS}"
    return None


def run(
    backend: str, model: str | Path, feeds: Mapping[str, NDArray[Any]], *, timeout: float = 300
) -> dict[str, NDArray[Any]]:
    """Outputs by name of one run of `model` on `feeds` in one of `BACKENDS`.

    Raises:
        RuntimeError: the process failed; the message is its error output.
    """
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = Path(folder, "inputs"), Path(folder, "outputs")
        inputs.mkdir()
        outputs.mkdir()
        write_tensors(feeds, inputs)
        command = [*_interpreter(backend), backend, str(Path(model).resolve()), str(inputs), str(outputs)]
        process = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout)
        if process.returncode:
            raise RuntimeError(f"{backend} failed on {model}:\n{process.stderr}")
        return read_tensors(outputs)


def _interpreter(backend: str) -> list[str]:
    if backend in ("node", "web"):
        return ["node", str(HOSTS / "run.mjs")]
    return [sys.executable, "-I", str(HOSTS / "run.py")]


def write_tensors(tensors: Mapping[str, NDArray[Any]], folder: Path) -> None:
    """Write `tensors` as raw files with their names, types and shapes in tensors.json."""
    entries = []
    for index, (name, tensor) in enumerate(tensors.items()):
        file = f"{index}.bin"
        tensor.tofile(folder / file)
        entries.append({"name": name, "type": tensor.dtype.name, "shape": tensor.shape, "file": file})
    (folder / "tensors.json").write_text(json.dumps(entries))


def read_tensors(folder: Path) -> dict[str, NDArray[Any]]:
    """What `write_tensors` wrote."""
    return {
        entry["name"]: np.fromfile(folder / entry["file"], entry["type"]).reshape(entry["shape"])
        for entry in json.loads((folder / "tensors.json").read_text())
    }

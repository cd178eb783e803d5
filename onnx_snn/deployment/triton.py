# SPDX-License-Identifier: Apache-2.0
"""A network in a model repository of Triton: its configuration, the file, and the libraries that it needs.

    REPOSITORY/NAME/config.pbtxt
    REPOSITORY/NAME/1/model.onnx        and its external data
    REPOSITORY/NAME/libonnx_snn_ops.so  and other libraries of operators

Triton hands the path of a library to the loader of the system as it stands, so it is absolute: where the server sees
the repository elsewhere, as in a container, `served_from` says where.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from onnx_snn.deployment.model_copy import copy_model
from onnx_snn.deployment.triton_config import triton_config
from onnx_snn.errors import DeployError, OutputError
from onnx_snn.graph.model_folder import only_model
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.protobuf_weights import imported_domains
from onnx_snn.graph.staged_folder import staged_folder
from onnx_snn.neurons.opset import DOMAIN
from onnx_snn.output_files import write_text
from onnx_snn.runtime.extensions import extensions_library, needs_extensions
from onnx_snn.runtime.session import find_library

CONFIG = "config.pbtxt"
"""Name of the configuration of a model in a repository."""

VERSION = "1"
"""Subfolder of the file: Triton serves the highest number of those that are there."""

NAME = re.compile(r"\w[\w.-]*")
"""What the name of a model may be: that of a folder, and a part of an address."""

DEFAULT_BATCH = 8
"""Most samples in one run by default."""


def deploy_triton(
    model: str | Path,
    repository: str | Path,
    *,
    name: str | None = None,
    max_batch_size: int = DEFAULT_BATCH,
    served_from: str | None = None,
    custom_ops: Sequence[str | Path] = (),
) -> Path:
    """Put a network into a model repository of Triton.

    The library of kernels goes with a converted network where it is installed, and that of onnxruntime-extensions with
    a packed one. An output of a range guard is not served, as it counts over all requests of a batch.

    Args:
        model: .onnx file, or a folder with a model.onnx.
        repository: folder of the repository, which is made where its parent exists.
        name: name of the model there; by default that of the file, or of the folder of a model.onnx.
        max_batch_size: most samples in one run. Requests are batched where axis 0 of all inputs and outputs is the same
            free axis. 0 for no batching.
        served_from: path of the repository as the server sees it, such as "/models"; its own by default.
        custom_ops: further libraries of operators that the network needs.

    Returns:
        The folder of the model in the repository.

    Raises:
        DeployError: the name is none of a folder, the batch size is negative, or Triton has no type for an input or
            output.
        ModelError: the network cannot be read.
        LibraryError: a library does not exist.
        OutputError: the repository cannot be written, or is the folder of the network.
    """
    file = only_model(Path(model))
    name = name if name is not None else _name(file)
    if not NAME.fullmatch(name):
        raise DeployError(f"{name!r} is no name of a model; give letters, digits, '_', '.' and '-'")
    if max_batch_size < 0:
        raise DeployError(f"max_batch_size is {max_batch_size}; give 0 for no batching, or the most samples in one run")
    network = load_model(file, custom_ops, upgrade=False)
    libraries = [*_libraries(file), *map(Path, custom_ops)]
    seen = PurePosixPath(served_from or Path(repository).absolute().as_posix()) / name
    config = triton_config(network, name, [str(seen / library.name) for library in libraries], max_batch_size)
    folder = Path(repository) / name
    try:
        Path(repository).mkdir(exist_ok=True)
        with staged_folder(folder, file.parent) as stage:
            (stage / VERSION).mkdir()
            copy_model(file, stage / VERSION / "model.onnx")
            for library in libraries:
                shutil.copyfile(library, stage / library.name)
            write_text(stage / CONFIG, config)
    except OSError as error:
        raise OutputError(f"repository '{repository}' cannot be written ({error})") from error
    return folder


def _name(file: Path) -> str:
    """Name of the model in `file`: its own, or that of its folder where it is called as all are."""
    return file.resolve().parent.name if file.name == "model.onnx" else file.stem


def _libraries(file: Path) -> list[Path]:
    """The libraries of operators that a network needs, or runs faster with."""
    kernels = find_library() if DOMAIN in imported_domains(file) else None
    extensions = [Path(extensions_library())] if needs_extensions(file) else []
    return [kernels, *extensions] if kernels is not None else extensions

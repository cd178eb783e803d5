# SPDX-License-Identifier: Apache-2.0
"""The configuration of a folder of onnxruntime-genai, and the library of kernels in it.

`genai_config.json` describes the models of a folder. Each of them may have `session_options`, whose entry
`custom_ops_library` names one library of operators; models without `session_options` have those of the decoder.
onnxruntime-genai looks for a relative path in the folder itself (0.10 and later), and refuses paths that lead out of
the folder (0.18), so the library lies in the folder and is named without a path: the folder can be moved.
"""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

from onnx_snn.errors import DeployError
from onnx_snn.json_files import read_object
from onnx_snn.output_files import staged, write_json
from onnx_snn.runtime.session import find_library

logger = logging.getLogger(__name__)

GENAI_CONFIG = "genai_config.json"
"""Name of the configuration in a folder of onnxruntime-genai."""

LIBRARY_KEY = "custom_ops_library"
"""Entry of session options that names a library of operators."""

SHARED_BUFFER = "past_present_share_buffer"
"""Entry of `search`: whether networks update keys and values in place."""


def fit_genai_config(folder: Path) -> None:
    """Fit the configuration in a folder of converted networks, if there is one, and put the kernels beside it.

    Without a library, networks run by the functions in them.

    Raises:
        DeployError: the configuration cannot be read, or has no decoder.
        OutputError: a file cannot be written.
    """
    path, library = folder / GENAI_CONFIG, find_library()
    if not path.is_file():
        return
    config = with_two_buffers(checked_config(folder))
    if library is not None:
        config = with_library(config, library.name)
        with staged(folder / library.name) as temporary:
            shutil.copyfile(library, temporary)
    write_json(path, config)


def checked_config(folder: Path) -> dict[str, Any]:
    """The configuration in a folder.

    Raises:
        DeployError: it cannot be read, or has no decoder.
    """
    path = folder / GENAI_CONFIG
    try:
        config = read_object(path)
    except (OSError, ValueError) as error:
        raise DeployError(f"cannot read '{path}': {error}") from error
    model = config.get("model")
    decoder = model.get("decoder") if isinstance(model, dict) else None
    if not isinstance(decoder, dict) or not isinstance(decoder.get("session_options", {}), dict):
        raise DeployError(f"'{path}' has no 'model.decoder' with 'session_options'; give the folder of a decoder")
    return config


def with_two_buffers(config: dict[str, Any]) -> dict[str, Any]:
    """A copy of `config` whose networks read keys and values from one buffer and write new ones to another.

    Only a fused attention operator works in place, and conversion writes such operators out.
    """
    search = config.get("search", {})
    return {**config, "search": {**search, SHARED_BUFFER: False}} if isinstance(search, dict) else config


def with_library(config: dict[str, Any], library: str) -> dict[str, Any]:
    """A copy of `config`, a checked configuration, whose sessions register `library`.

    A session that registers a library of others keeps it, with a warning: it can have only one.
    """
    config = copy.deepcopy(config)
    config["model"]["decoder"].setdefault("session_options", {})
    for options in list(_session_options(config["model"])):
        other = str(options.get(LIBRARY_KEY, library))
        if _base_name(other) == _base_name(library):
            options[LIBRARY_KEY] = library
        else:
            logger.warning(
                "%s names the library %r, and takes no second one: in onnxruntime-genai the network runs without "
                "kernels, by the functions in its file",
                GENAI_CONFIG,
                other,
            )
    return config


def _base_name(library: str) -> str:
    """The name of a library that is the same on all systems, such as "onnx_snn_ops" of "/opt/libonnx_snn_ops.so"."""
    return PureWindowsPath(library).stem.removeprefix("lib")  # such paths may have slashes of both kinds


def _session_options(value: Any) -> Iterator[dict[str, Any]]:
    """All objects called `session_options` within `value`: of a model, or of the stages of a pipeline of models."""
    if isinstance(value, list):
        for entry in value:
            yield from _session_options(entry)
    elif isinstance(value, dict):
        for key, entry in value.items():
            if key == "session_options" and isinstance(entry, dict):
                yield entry
            else:
                yield from _session_options(entry)

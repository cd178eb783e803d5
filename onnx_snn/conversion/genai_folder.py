# SPDX-License-Identifier: Apache-2.0
"""Converted folders for onnxruntime-genai, whose genai_config.json tells how to run a decoder.

The kernels lie in the folder, as a file that the configuration names: onnxruntime-genai loads libraries of operators
from there, and refuses those elsewhere.

It can give a network one buffer to read old keys and values from and to write new ones to. Only a fused attention
operator works in place, so that a converted network gets two.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from onnx_snn.errors import ModelError
from onnx_snn.json_files import read_object
from onnx_snn.output_files import staged, write_json
from onnx_snn.runtime.session import find_library

logger = logging.getLogger(__name__)

GENAI = "genai_config.json"
LIBRARY_OPTION = "custom_ops_library"
SHARED_BUFFER = "past_present_share_buffer"


def fit_genai_config(folder: Path) -> None:
    """Let the genai_config.json in a converted folder, if there is one, name the kernels, and put these beside it.

    Raises:
        ModelError: the file is no such configuration.
        OutputError: a file cannot be written.
    """
    file = folder / GENAI
    if not file.is_file():
        return
    try:
        config = read_object(file)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read '{file.name}' as a JSON object: {error}") from error
    options = _part(_part(_part(config, "model"), "decoder"), "session_options")
    if isinstance(config.get("search"), dict):
        config["search"][SHARED_BUFFER] = False
    library = find_library()
    named = options.get(LIBRARY_OPTION)
    if library is not None and named in (None, library.name):
        options[LIBRARY_OPTION] = library.name
        with staged(folder / library.name) as temporary:
            shutil.copyfile(library, temporary)
    elif library is not None:
        logger.warning(
            "%s names the library %r, and takes no second one: in onnxruntime-genai the spiking network runs without "
            "kernels, by the functions in its file",
            GENAI,
            named,
        )
    write_json(file, config)


def _part(config: dict[str, Any], name: str) -> dict[str, Any]:
    """The object `name` in `config`, an empty one that is put there where it has none.

    Raises:
        ModelError: there is something else.
    """
    part = config.setdefault(name, {})
    if not isinstance(part, dict):
        raise ModelError(f"{GENAI} has {name!r} as a {type(part).__name__}; expected an object")
    return part

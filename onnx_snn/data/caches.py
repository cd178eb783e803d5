# SPDX-License-Identifier: Apache-2.0
"""Key/value caches that are still empty: their shapes, as far as a decoder and its configuration tell them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.data.specs import InputSpec
from onnx_snn.errors import CalibrationError, ModelError
from onnx_snn.json_files import read_object

CONFIGURATIONS = ("config.json", "genai_config.json")
"""Files of a folder that tell the size of a head, of Transformers and of onnxruntime-genai."""

HEADS, WIDTHS = ("num_attention_heads", "n_head", "num_heads"), ("hidden_size", "n_embd", "d_model")
"""What configurations call the number of heads, and the features of all together."""


def empty_cache(spec: InputSpec, batch: int, folders: Sequence[Path]) -> NDArray[Any]:
    """An array for the cache input `spec` before anything was read.

    Its first axis is that of the batch. Of the others whose size the model does not fix, the first is the number of
    tokens read, which is 0, and a last one the size of a head.

    Args:
        spec: an input with keys or values, [batch, heads, tokens, features] or with its axes in another order.
        batch: number of texts.
        folders: where the configuration of the network may lie.

    Raises:
        ModelError: the size of a head is needed, and no configuration tells it.
    """
    sizes = [size if isinstance(size, int) else None for size in spec.shape[1:]]
    if sizes.count(None) > 1 and sizes[-1] is None:
        sizes[-1] = head_size(folders, spec.name)
    first = spec.shape[0]
    return np.zeros((first if isinstance(first, int) else batch, *(size or 0 for size in sizes)), spec.dtype)


def head_size(folders: Sequence[Path], name: str) -> int:
    """Number of features of an attention head, from the first configuration in `folders` that tells it.

    Args:
        folders: folders of a network.
        name: the input that needs it, for the message.

    Raises:
        ModelError: none tells it.
        CalibrationError: a configuration cannot be read.
    """
    for folder in folders:
        for file in (folder / configuration for configuration in CONFIGURATIONS):
            found = _head_size(_object(file)) if file.is_file() else None
            if found is not None:
                return found
    places = " or ".join(f"'{folder}'" for folder in folders)
    raise ModelError(
        f"the model does not fix the last size of input {name!r}, that of an attention head, and no "
        f"{' or '.join(CONFIGURATIONS)} in {places} tells it; put one there, or fix the size in the model"
    )


def _head_size(config: dict[str, Any]) -> int | None:
    """The size of a head in the configuration of one of the two kinds."""
    model = config.get("model")
    decoder = model.get("decoder") if isinstance(model, dict) else None
    described = decoder if isinstance(decoder, dict) else config
    for name in ("head_size", "head_dim"):
        if _positive(described.get(name)):
            return int(described[name])
    heads = next((described[name] for name in HEADS if _positive(described.get(name))), None)
    width = next((described[name] for name in WIDTHS if _positive(described.get(name))), None)
    return None if heads is None or width is None else int(width // heads)


def _positive(value: object) -> bool:
    return isinstance(value, int) and value > 0


def _object(file: Path) -> dict[str, Any]:
    try:
        return read_object(file)
    except (OSError, ValueError) as error:
        raise CalibrationError(f"cannot read '{file}' as a JSON object: {error}") from error

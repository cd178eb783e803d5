# SPDX-License-Identifier: Apache-2.0
"""Tokenizers read by the `tokenizers` library, which needs neither Transformers nor PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnx_snn import extras
from onnx_snn.errors import OnnxSnnError

TOKENIZER = "tokenizer.json"
"""File of a tokenizer."""


def open_tokenizer(path: Path, purpose: str, extra: str, error: type[OnnxSnnError]) -> Any:
    """The `tokenizers.Tokenizer` that `path` describes.

    Args:
        path: a tokenizer.json.
        purpose: what needs it, as the subject of a sentence.
        extra: the extra of this package that installs the library.
        error: type of the error where the file cannot be read.

    Raises:
        ConfigError: the library is not installed.
        OnnxSnnError: an `error`, it cannot read the file.
    """
    library = extras.required("tokenizers", purpose, extra)
    try:
        return library.Tokenizer.from_file(str(path))
    except BaseException as reason:  # the library raises Exception itself, and on damaged tables a panic that is none
        if not isinstance(reason, Exception) and type(reason).__name__ != "PanicException":
            raise
        raise error(f"the tokenizers library cannot read '{path}': {reason}") from reason

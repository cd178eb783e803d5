# SPDX-License-Identifier: Apache-2.0
"""Packages that packing needs: onnxruntime-extensions, which has the operators, and references to compare with."""

from __future__ import annotations

import json
from typing import Any

import onnxruntime as ort

from onnx_snn import extras
from onnx_snn.runtime.extensions import extensions_library
from onnx_snn.runtime.session import session_options

EXTRA = "data,text"
"""Extras of this package that bring them."""


def required(module: str) -> Any:
    """A module of the extras.

    Raises:
        ConfigError: it is not installed.
    """
    return extras.required(module, "packing", EXTRA)


def described_tokenizer(**parts: Any) -> Any:
    """A tokenizer of the `tokenizers` library with parts as a tokenizer.json describes them, and no vocabulary."""
    model = {"type": "WordLevel", "vocab": {}, "unk_token": ""}
    return required("tokenizers").Tokenizer.from_str(json.dumps({"version": "1.0", "model": model, **parts}))


def extensions_options() -> ort.SessionOptions:
    """Quiet options of a session with the operators of onnxruntime-extensions, without our kernels."""
    return session_options(quiet=True, kernels=False, custom_ops=[extensions_library()])

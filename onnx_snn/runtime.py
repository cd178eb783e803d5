# SPDX-License-Identifier: Apache-2.0
"""Running converted networks: a thin helper over `onnxruntime.InferenceSession`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from onnx_snn.errors import ModelError

logger = logging.getLogger(__name__)

CPU = ("CPUExecutionProvider",)


def session(
    path: str | Path,
    *,
    providers: Sequence[Any] | None = None,
    session_options: ort.SessionOptions | None = None,
) -> ort.InferenceSession:
    """An ordinary onnxruntime session on a converted file, which runs by the functions that it carries.

    Args:
        path: converted (or any other) .onnx file.
        providers: execution providers as onnxruntime takes them; the CPU by default.
        session_options: options of the session; onnxruntime's defaults where None.

    Raises:
        ModelError: onnxruntime cannot load the file.
    """
    if not Path(path).is_file():
        raise ModelError(f"{path}: no such file; give the path of an .onnx file")
    try:
        return ort.InferenceSession(str(path), session_options, providers=list(providers or CPU))
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise ModelError(f"{path}: onnxruntime cannot load it ({error})") from error

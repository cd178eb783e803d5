# SPDX-License-Identifier: Apache-2.0
"""Import of the drawing libraries, which are optional dependencies."""

from __future__ import annotations

from typing import Any

from onnx_snn import extras


def required(module: str) -> Any:
    """The module `module`.

    Raises:
        ConfigError: it is not installed.
    """
    return extras.required(module, "a report", "report")

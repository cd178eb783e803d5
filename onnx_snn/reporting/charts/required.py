# SPDX-License-Identifier: Apache-2.0
"""Import of the drawing libraries, which are optional dependencies."""

from __future__ import annotations

import importlib
from typing import Any

from onnx_snn.errors import ConfigError


def required(module: str) -> Any:
    """The module `module`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"a report needs {module.partition('.')[0]} ({error}); install it with: pip install 'onnx-snn[report]'"
        ) from error

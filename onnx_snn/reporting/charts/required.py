# SPDX-License-Identifier: Apache-2.0
"""The libraries that draw are not needed by anything else, and so only asked for here."""

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

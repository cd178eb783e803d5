# SPDX-License-Identifier: Apache-2.0
"""Import of optional dependencies."""

from __future__ import annotations

import importlib
from typing import Any

from onnx_snn.errors import ConfigError


def required(module: str, purpose: str, extra: str) -> Any:
    """The module `module`.

    Args:
        module: dotted name of the module.
        purpose: what needs it, as the subject of a sentence.
        extra: the extra of this package that installs it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{purpose} needs {module.partition('.')[0]} ({error}); install it with: pip install 'onnx-snn[{extra}]'"
        ) from error

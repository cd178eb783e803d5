# SPDX-License-Identifier: Apache-2.0
"""Import of optional dependencies."""

from __future__ import annotations

import importlib
from typing import Any

from onnx_snn.errors import ConfigError, OnnxSnnError


def required(
    module: str, purpose: str, extra: str, *, package: str = "", error: type[OnnxSnnError] = ConfigError
) -> Any:
    """The module `module`.

    Args:
        module: dotted name of the module.
        purpose: what needs it, as the subject of a sentence.
        extra: the extra of this package that installs it.
        package: name of the package that has it, where that suffices; the first part of `module` by default.
        error: type of the error.

    Raises:
        ConfigError: it is not installed; an `error`, where that is another one.
    """
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        alone = f"pip install {package}, or with all of its extra: " if package else ""
        raise error(
            f"{purpose} needs {package or module.partition('.')[0]} ({missing}); install it with: {alone}"
            f"pip install 'onnx-snn[{extra}]'"
        ) from missing

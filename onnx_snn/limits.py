# SPDX-License-Identifier: Apache-2.0
"""Limits of the work that an untrusted file can ask for; each can be raised by an environment variable."""

from __future__ import annotations

import os
from dataclasses import dataclass

from onnx_snn.errors import ConfigError


@dataclass(frozen=True)
class Limit:
    """A limit of one quantity.

    Attributes:
        variable: environment variable that sets it.
        default: its value where the variable is not set.
    """

    variable: str
    default: int

    @property
    def value(self) -> int:
        """The limit that holds.

        Raises:
            ConfigError: the variable is set to something else than a whole number above 0.
        """
        text = os.environ.get(self.variable, "")
        if not text:
            return self.default
        if not (text.isascii() and text.isdigit() and int(text[:20])):
            raise ConfigError(f"{self.variable} is {text!r}; expected a whole number above 0, or unset it")
        return int(text)

    @property
    def remedy(self) -> str:
        """What to do where the limit is in the way, for error messages."""
        return f"if this is meant, set the environment variable {self.variable} to more than {self.value}"


NODES = Limit("ONNX_SNN_MAX_NODES", 1_000_000)
"""Nodes of a model with all functions written out. Networks of billions of weights have some ten thousand."""

ARRAY_BYTES = Limit("ONNX_SNN_MAX_ARRAY_BYTES", 1 << 36)
"""Bytes of one array in a file of data, when it is unpacked: 64 GiB."""

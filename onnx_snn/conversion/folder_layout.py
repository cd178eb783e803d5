# SPDX-License-Identifier: Apache-2.0
"""Where models lie in a folder: as Optimum has them, or transformers.js."""

from __future__ import annotations

import enum
from pathlib import Path

from onnx_snn.errors import ConfigError


class Layout(enum.Enum):
    """Where the models of a folder lie.

    OPTIMUM: beside the configuration, as Optimum and onnxruntime-genai have them. TRANSFORMERSJS: in the subfolder
    `onnx`, where transformers.js looks for them; Optimum takes the subfolder by its name.
    """

    OPTIMUM = "optimum"
    TRANSFORMERSJS = "transformersjs"

    @classmethod
    def of(cls, layout: Layout | str) -> Layout:
        """The layout of that name.

        Raises:
            ConfigError: there is none.
        """
        try:
            return cls(layout)
        except ValueError:
            raise ConfigError(f"layout is {layout!r}; expected one of {[each.value for each in cls]}") from None

    def model_path(self, name: str) -> Path:
        """Path of the model `name`, such as "model.onnx", relative to the folder."""
        return Path("onnx", name) if self is Layout.TRANSFORMERSJS else Path(name)

    def place(self, folder: Path, name: str) -> Path:
        """Path of the model `name` in `folder`, whose subfolder for it is made.

        Raises:
            OSError: it cannot be made.
        """
        path = folder / self.model_path(name)
        path.parent.mkdir(exist_ok=True)
        return path

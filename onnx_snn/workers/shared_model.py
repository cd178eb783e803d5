# SPDX-License-Identifier: Apache-2.0
"""A network in memory as a file that workers read, since neither models nor sessions can be pickled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from onnx_snn.graph.custom_libraries import libraries_of
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.model_writer import save_model


@dataclass(frozen=True)
class SharedModel:
    """A network for workers.

    Attributes:
        path: its file.
        libraries: the libraries of custom operators that it needs.
    """

    path: Path
    libraries: tuple[str, ...]

    @classmethod
    def of(cls, model: ir.Model, folder: Path, name: str = "network") -> SharedModel:
        """`model`, written into `folder` under `name`.

        Raises:
            OutputError: it cannot be written.
        """
        path = folder / f"{name}.onnx"
        save_model(model, path)
        return cls(path, libraries_of(model))

    def load(self) -> ir.Model:
        """The network, with its weights mapped where they lie in a file of their own."""
        return load_model(self.path, self.libraries)

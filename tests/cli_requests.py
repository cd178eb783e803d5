# SPDX-License-Identifier: Apache-2.0
"""What a user asks of `onnx-snn convert`, through the API and on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from networks import normal

import onnx_snn

SAMPLES = 8


@dataclass(frozen=True)
class Request:
    """What a user asks for: files, and options as the API names them."""

    model: Path
    output: Path
    calibration: Path | None
    options: dict[str, Any] = field(default_factory=dict)

    def convert(self) -> onnx_snn.ConversionReport:
        options = dict(self.options)
        config = options.pop("config", None)
        if config is not None:
            options["config"] = onnx_snn.ConvertConfig.from_json(config)
        return onnx_snn.convert(self.model, self.output, self.calibration, **options)

    def arguments(self) -> list[str]:
        arguments = ["convert", "-m", str(self.model), "-o", str(self.output)]
        if self.calibration is not None:
            arguments += ["-c", str(self.calibration)]
        for name, value in self.options.items():
            arguments += [f"--{name.replace('_', '-')}", str(value)]
        return arguments


@pytest.fixture
def good(tmp_path: Path) -> Request:
    """A request that succeeds."""
    onnx.save(networks.classifier(), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=normal(SAMPLES, 8))
    return Request(tmp_path / "model.onnx", tmp_path / "spiking.onnx", tmp_path / "data.npz")

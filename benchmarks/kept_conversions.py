# SPDX-License-Identifier: Apache-2.0
"""Conversions that several benchmarks measure: each is made once, and found again in the folder where it is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_snn

MODELS = ("vit-cifar10", "roberta-mr", "gpt2-war-and-peace", "resnet-cifar10")
TIMESTEPS = (4, 8, 16)

NEURONS: dict[str, dict[str, Any]] = {"by rule": {"fast": True}, "within the budget": {}}
"""How neurons are chosen: by rule, as former versions did and `--fast` does, or by default."""


@dataclass(frozen=True)
class Conversions:
    """Converted networks with their reports.

    Attributes:
        folder: where they are kept.
    """

    folder: Path

    def __call__(self, name: str, model: Path, calibration: Any, timesteps: int, neurons: str) -> Path:
        """The path of the network `name`, converted with `timesteps` and with neurons chosen as `NEURONS` says."""
        path = self._path(name, timesteps, neurons)
        if not path.with_suffix(".json").exists():
            options = {"timesteps": timesteps, **NEURONS[neurons]}
            onnx_snn.convert(model, path, calibration, progress=False, **options).save(path.with_suffix(".json"))
        return path

    def report(self, name: str, model: Path, calibration: Any, timesteps: int, neurons: str) -> dict[str, Any]:
        """The report of that conversion."""
        path = self(name, model, calibration, timesteps, neurons)
        report: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
        return report

    def _path(self, name: str, timesteps: int, neurons: str) -> Path:
        return self.folder / f"{name}-{timesteps}-{neurons}.onnx".replace(" ", "-")

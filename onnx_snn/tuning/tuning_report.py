# SPDX-License-Identifier: Apache-2.0
"""The report of `onnx_snn.tune`: the choice and the Pareto front, as text and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnx_snn.allocation.cost_model import COSTS
from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.report import KIND_LABELS, ConversionReport
from onnx_snn.formatting import json_values, screen_table, wrapped
from onnx_snn.profiling.uncounted import UncountedNode, note
from onnx_snn.tuning.trial_runner import TuningPoint


@dataclass(frozen=True)
class TuningReport:
    """Result of `onnx_snn.tune`.

    Attributes:
        config: configuration with which `convert` writes the same file.
        metric: name of the task metric.
        chosen: the choice that the file contains.
        front: the Pareto front of the choices that were run, from the cheapest to the most exact.
        spikes: spikes per element of the choice by kind of neuron.
        conversion: the report of the conversion.
        uncounted: nodes whose operations are not part of the energy.
    """

    config: ConvertConfig
    metric: str
    chosen: TuningPoint
    front: tuple[TuningPoint, ...]
    spikes: Mapping[str, float]
    conversion: ConversionReport
    uncounted: tuple[UncountedNode, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "config": self.config.to_json(),
            "metric": self.metric,
            "chosen": json_values(self.chosen),
            "front": [json_values(point) for point in self.front],
            "spikes": dict(self.spikes),
            "uncounted": [dataclasses.asdict(node) for node in self.uncounted],
        }

    def text(self) -> str:
        """The report for a terminal: the Pareto front, with `->` at the choice."""
        header = (
            "",
            "spikes/element",
            "operations",
            "energy",
            "T",
            f"{self.metric} loss",
            "95 % bound",
            "output error",
        )
        rows = [
            (
                "->" if point == self.chosen else "",
                f"{point.spikes:.2f}",
                f"{point.operations:.3g}",
                f"{point.energy:.1%}" if math.isfinite(point.energy) else "",
                str(point.timesteps),
                f"{point.loss:+.3%}",
                f"{point.bound:.3%}",
                f"{point.relative_error:.2e}",
            )
            for point in self.front
        ]
        kinds = [(_label(kind), f"{spikes:.2f}") for kind, spikes in self.spikes.items()]
        energy = (
            f"energy: accumulate-only rule, all matmuls and convolutions, {COSTS.accumulate} pJ for each synaptic "
            f"operation and {COSTS.multiply_accumulate} pJ for each multiply-accumulate (45 nm), relative to "
            "the original"
        )
        notes = [wrapped(text) for text in (energy, note(self.uncounted)) if text]
        return "\n".join([screen_table(header, rows), *notes, "", screen_table(("neurons", "spikes/element"), kinds)])


def _label(group: str) -> str:
    """A kind of neuron in words: "synapse operand" becomes "weight matmul operand"."""
    kind, _, role = group.partition(" ")
    return f"{KIND_LABELS.get(kind, kind)} {role}".strip()

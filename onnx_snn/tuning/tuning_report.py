# SPDX-License-Identifier: Apache-2.0
"""The report of `onnx_snn.tune`: the choice and the Pareto front, as text and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx_snn.allocation.cost_model import COSTS
from onnx_snn.config.config_file import POINTS
from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.report import KIND_LABELS, ConversionReport
from onnx_snn.formatting import json_values, screen_table, wrapped
from onnx_snn.output_files import write_json
from onnx_snn.profiling.uncounted import UncountedNode, note
from onnx_snn.tuning.promise import Reach
from onnx_snn.tuning.trial_runner import TuningPoint

BOUNDS = (
    "95 % bound: the loss on another set of as many samples is below it with a confidence of 95 %; bound of mean: so "
    "is the expected loss"
)
"""Explanation of two columns."""


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
        configurations: the configuration with which `convert` writes each choice of the front.
        reach: the samples that the target takes; None without a target, or if the metric judges no predictions.
        warning: what part of the goal is not met, and what is promised instead; empty if it is met.
    """

    config: ConvertConfig
    metric: str
    chosen: TuningPoint
    front: tuple[TuningPoint, ...]
    spikes: Mapping[str, float]
    conversion: ConversionReport
    uncounted: tuple[UncountedNode, ...] = ()
    configurations: tuple[ConvertConfig, ...] = ()
    reach: Reach | None = None
    warning: str = ""

    @property
    def certified(self) -> bool:
        """Whether the goal is met."""
        return not self.warning

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "config": self.config.to_json(),
            "metric": self.metric,
            "chosen": json_values(self.chosen),
            "front": [json_values(point) for point in self.front],
            "spikes": dict(self.spikes),
            "uncounted": [dataclasses.asdict(node) for node in self.uncounted],
            "reach": dataclasses.asdict(self.reach) if self.reach else None,
            "certified": self.certified,
            "warning": self.warning,
        }

    def front_to_json(self) -> dict[str, Any]:
        """The Pareto front with all configurations as JSON values, from which `convert` can build any point."""
        points = zip(self.front, self.configurations, strict=True)
        return {
            "metric": self.metric,
            "chosen": self._chosen_number(),
            POINTS: [
                {"point": number, **json_values(point), "config": config.to_json()}
                for number, (point, config) in enumerate(points, 1)
            ],
        }

    def save_front(self, path: str | Path) -> None:
        """Write `front_to_json` to a file.

        Raises:
            OutputError: it cannot be written.
        """
        write_json(path, self.front_to_json())

    def _chosen_number(self) -> int:
        """The number of the choice on the front, from 1."""
        return self.front.index(self.chosen) + 1

    def text(self) -> str:
        """The report for a terminal: the Pareto front with numbers, `->` at the choice, and what is promised."""
        header = (
            "point",
            "spikes/element",
            "operations",
            "energy",
            "T",
            f"{self.metric} loss",
            "95 % bound",
            "95 % bound of mean",
            "output error",
        )
        rows = [
            (
                f"{'->' if number == self._chosen_number() else '  '}{number:2}",
                f"{point.spikes:.2f}",
                f"{point.operations:.3g}",
                f"{point.energy:.1%}" if math.isfinite(point.energy) else "",
                str(point.timesteps),
                f"{point.loss:+.3%}",
                f"{point.bound:.3%}",
                f"{point.mean_bound:.3%}" if math.isfinite(point.mean_bound) else "",
                f"{point.relative_error:.2e}",
            )
            for number, point in enumerate(self.front, 1)
        ]
        kinds = [(_label(kind), f"{spikes:.2f}") for kind, spikes in self.spikes.items()]
        energy = (
            f"energy: accumulate-only rule, all matmuls and convolutions, {COSTS.accumulate} pJ for each synaptic "
            f"operation and {COSTS.multiply_accumulate} pJ for each multiply-accumulate (45 nm), relative to "
            "the original"
        )
        reach = self.reach.text() if self.reach else ""
        notes = [wrapped(text) for text in (BOUNDS, reach, energy, note(self.uncounted), self.warning) if text]
        return "\n".join([screen_table(header, rows), *notes, "", screen_table(("neurons", "spikes/element"), kinds)])


def _label(group: str) -> str:
    """A kind of neuron in words: "synapse operand" becomes "weight matmul operand"."""
    kind, _, role = group.partition(" ")
    return f"{KIND_LABELS.get(kind, kind)} {role}".strip()

# SPDX-License-Identifier: Apache-2.0
"""The figures of a comparison of a spiking network with its original."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from onnx_snn.evaluation.metrics import METRICS
from onnx_snn.evaluation.saturation import Saturation, saturation_warning
from onnx_snn.formatting import json_values, screen_table, wrapped


@dataclass(frozen=True)
class Evaluation:
    """Result of the comparison of a spiking network with its original.

    Attributes:
        output: name of the output that was compared.
        samples: number of samples.
        metric: name of the task metric, such as "accuracy" or "perplexity"; "" without labels.
        original: value of the metric for the original network; NaN without a metric.
        spiking: value of the metric for the spiking network; NaN without a metric.
        relative_loss: by how much the spiking network is worse, divided by the original's value; negative if it is
            better, NaN without a metric.
        agreement: fraction of rows whose argmax over the last axis is the same in both networks; NaN for an output
            that has no class scores (`onnx_snn.evaluation.class_scores`).
        relative_error: Frobenius norm of the difference of the outputs divided by that of the original's output.
        maximum_error: largest absolute difference of the outputs.
        compared: what of an output that is no tensor is compared; empty for tensors.
        saturation: the nodes of the spiking network at which values are beyond their range, and how many.
    """

    output: str
    samples: int
    metric: str
    original: float
    spiking: float
    relative_loss: float
    agreement: float
    relative_error: float
    maximum_error: float
    compared: str = ""
    saturation: tuple[Saturation, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values; null for NaN and infinity."""
        return json_values(self)

    def text(self) -> str:
        """The figures for a terminal."""
        rows = [
            *([("agreement of predictions", f"{self.agreement:.2%}")] if math.isfinite(self.agreement) else []),
            ("relative error of output", f"{self.relative_error:.2e}"),
            ("maximum error of output", f"{self.maximum_error:.2e}"),
        ]
        if self.metric:
            rows = [
                (f"{self.metric}, original", self._figure(self.original)),
                (f"{self.metric}, spiking", self._figure(self.spiking)),
                ("relative loss", f"{self.relative_loss:.3%}"),
                *rows,
            ]
        what = f" ({self.compared})" if self.compared else ""
        table = screen_table((f"{self.output}{what}, {self.samples} samples", ""), rows)
        warning = saturation_warning(self.saturation)
        return f"{table}\n\n{wrapped(warning)}" if warning else table

    def loss_text(self) -> str:
        """What the spiking network lost, in words."""
        parts = [f"relative error {self.relative_error:.1e} of output {self.output!r}"]
        if math.isfinite(self.agreement):
            parts.append(f"{self.agreement:.2%} of predictions equal")
        if self.metric:
            parts.insert(0, f"{self.relative_loss:.3%} of {self.metric}" if self.relative_loss > 0 else "nothing")
        return f"{', '.join(parts)}, on {self.samples} samples"

    def next_text(self) -> str:
        """What to do next, in words."""
        if self.metric and self.relative_loss > LARGE_LOSS:
            return "find the nodes that cost most (--per-node), or convert with a smaller --max-error"
        if not self.metric:
            return "add an array `labels` to the data for a task metric"
        return "spend fewer spikes: onnx-snn tune --target-loss, or convert with a larger --max-error"

    def _figure(self, score: float) -> str:
        return METRICS[self.metric].figure(score) if self.metric in METRICS else f"{score:.4g}"


LARGE_LOSS = 0.005
"""Relative loss of a task metric from which a network is no longer called near-lossless."""

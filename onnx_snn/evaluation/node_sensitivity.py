# SPDX-License-Identifier: Apache-2.0
"""The figures of `onnx_snn.evaluation.sensitivity`, by node, for a terminal and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onnx_snn.evaluation.evaluation import Evaluation
from onnx_snn.formatting import json_values, screen_table, wrapped


@dataclass(frozen=True)
class NodeSensitivity:
    """Effect of one spiking node on the output of the network.

    Attributes:
        name: name of the spiking node.
        source: operation that the node replaces, such as "gelu"; "identity" for a code.
        readers: names of the nodes that read its output.
        sqnr_db: signal-to-quantization-noise ratio of its own output for exact inputs, in decibels.
        maximum_error: largest absolute error of its own output for exact inputs.
        alone: comparison of the original with the network in which only this node is spiking.
        left_out: comparison of the original with the network in which all nodes but this one are spiking.
        out_of_range: of an identity code, number of values beyond the largest magnitude that it represents; None for
            other nodes.
        clipped_error: share of the squared error of its own output that is of these values; None for other nodes.
    """

    name: str
    source: str
    readers: tuple[str, ...]
    sqnr_db: float
    maximum_error: float
    alone: Evaluation
    left_out: Evaluation
    out_of_range: int | None = None
    clipped_error: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        nested = {"alone": self.alone.to_json(), "left_out": self.left_out.to_json()}
        return json_values(self) | {"readers": list(self.readers)} | nested


@dataclass(frozen=True)
class Sensitivity:
    """Sensitivity of the output of a network to each of its spiking nodes.

    Attributes:
        whole: comparison of the original with the whole spiking network.
        nodes: the spiking nodes, in descending order of the output error that each makes alone.
        remedy: what to do where most of the output error comes from values beyond the range of a code; else empty.
    """

    whole: Evaluation
    nodes: tuple[NodeSensitivity, ...]
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {"whole": self.whole.to_json(), "nodes": [node.to_json() for node in self.nodes], "remedy": self.remedy}

    def text(self, *, most: int | None = None) -> str:
        """The figures for a terminal, of the first `most` nodes; of all by default."""
        losses = ("loss, alone",) if self.whole.metric else ()
        header = ("node", "replaces", "SQNR, dB", "output error, alone", "left out", *losses)
        rows = [_row(node, bool(self.whole.metric)) for node in self.nodes[:most]]
        legend = (
            f"{len(self.nodes)} spiking nodes; SQNR: of the node's own output for exact inputs; alone: "
            "only this node is spiking; left out: all nodes but this one are spiking; names in full and more figures: "
            "--json"
        )
        paragraphs = [self.whole.text(), wrapped(legend), screen_table(header, rows)]
        return "\n\n".join([*paragraphs, *([wrapped(self.remedy)] if self.remedy else [])])


def _row(node: NodeSensitivity, scored: bool) -> tuple[str, ...]:
    """A line of the table of nodes, with the loss of the task metric if `scored`."""
    losses = (f"{node.alone.relative_loss:+.3%}",) if scored else ()
    return (
        node.name,
        node.source,
        f"{node.sqnr_db:.1f}",
        f"{node.alone.relative_error:.1e}",
        f"{node.left_out.relative_error:.1e}",
        *losses,
    )

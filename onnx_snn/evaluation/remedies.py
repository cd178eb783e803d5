# SPDX-License-Identifier: Apache-2.0
"""What to do about nodes that make most of a network's error."""

from __future__ import annotations

from collections.abc import Sequence

from onnx_snn.evaluation.code_ranges import DOMINANT
from onnx_snn.evaluation.node_sensitivity import NodeSensitivity, Sensitivity

MOST_NAMES = 4
"""Largest number of names in a remedy; those of most error come first."""


def remedies(sensitivity: Sensitivity) -> list[str]:
    """Advice about the nodes of which each alone makes most of the output's error; empty where no node does.

    A code that clips gets range. Other nodes are kept as they are or get more bases: a logarithm, for example, makes
    much of small errors in quiet channels before it, as of a mel spectrogram.
    """
    dominant = [
        node
        for node in sensitivity.nodes
        if node.alone.relative_error >= DOMINANT * sensitivity.whole.relative_error > 0
    ]
    found = [sensitivity.remedy] if sensitivity.remedy else []
    coarse = [node for node in dominant if not (node.clipped_error or 0.0) >= DOMINANT]
    return [*found, _exclusion(coarse, sensitivity)] if coarse else found


def _exclusion(nodes: Sequence[NodeSensitivity], sensitivity: Sensitivity) -> str:
    worst, whole = nodes[0], sensitivity.whole
    names = list(dict.fromkeys(name for node in nodes for name in original_names(node)))[:MOST_NAMES]
    others = f" ({len(nodes) - 1} more nodes are like this)" if len(nodes) > 1 else ""
    return (
        f"{worst.name} ({worst.source}) alone makes an error of {worst.alone.relative_error:.2%} at output "
        f"'{whole.output}', of {whole.relative_error:.2%} in all{others}: keep as they are what needs exact values "
        f"(--exclude {' '.join(names)}), or give it more bases or time steps (nodes in --config)"
    )


def original_names(node: NodeSensitivity) -> tuple[str, ...]:
    """Names of the original's nodes that `--exclude` takes for a spiking node: of a code, those that read it."""
    return node.readers if node.source == "identity" and node.readers else (node.name,)

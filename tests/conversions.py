# SPDX-License-Identifier: Apache-2.0
"""Conversions of small networks with closed bodies, and what a report says of their nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from networks import Feeds, normal

import onnx_snn
from onnx_snn import ConversionReport, Status

X: Feeds = {"x": normal(8, 4, 8)}
WEIGHT = "float[8,8] weight = {" + ", ".join(str(i % 9 - 4) for i in range(64)) + "}"


def converted(
    model: str | Path | ir.Model | onnx.ModelProto, folder: Path, data: Any = X, **options: Any
) -> tuple[Path, ConversionReport]:
    """A conversion with closed bodies and neurons by rule into `folder`, and its report."""
    path = folder / "spiking.onnx"
    return path, onnx_snn.convert(model, path, data, **{"body": "closed", "fast": True, **options})


def statuses(report: ConversionReport) -> dict[str, Status]:
    return {node.name: node.status for node in report.nodes}


def as_written(node: onnx.NodeProto) -> bytes:
    """`node` in its canonical form: some writers spell out that the domain is empty."""
    canonical = onnx.NodeProto()
    canonical.CopyFrom(node)
    if not node.domain:
        canonical.ClearField("domain")
    return canonical.SerializeToString(deterministic=True)


RMS_NORM = "s = Mul (x, x) m = ReduceMean (s, last) v = Add (m, eps) r = Sqrt (v) y = Div (x, r)"

SITES = {
    "function": "y = Gelu (x)",
    "softmax": "y = Softmax <axis = -1> (x)",
    "softmax over the middle axis": "y = Softmax <axis = -2> (x)",
    "softmax over the first axis": "y = Softmax <axis = 0> (x)",
    "layer normalization": "y = LayerNormalization <axis = -1> (x, gamma, beta)",
    "layer normalization without shift": "y = LayerNormalization <axis = -1> (x, gamma)",
    "RMS normalization": RMS_NORM,
    "square": "y = Mul (x, x)",
    "product": "t = Transpose <perm = [0, 2, 1]> (x) u = MatMul (x, t) y = MatMul (u, x)",
    "two functions of one tensor": "g = Gelu (x) t = Tanh (x) y = Add (g, t)",
    "function of a function": "g = Gelu (x) y = Sigmoid (g)",
    "function whose input is coded": "t = Tanh (x) p = Mul (t, t) y = Mul (p, t)",
}

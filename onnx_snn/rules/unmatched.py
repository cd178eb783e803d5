# SPDX-License-Identifier: Apache-2.0
"""The reasons why nodes that no rule claims are not converted."""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.graph.activation_flow import ActivationFlow, operators
from onnx_snn.graph.domains import MICROSOFT

_LINEAR = operators(
    # moves and selects by position
    "Identity Cast CastLike Reshape Flatten Squeeze Unsqueeze Transpose Concat Split Slice Gather "
    "GatherElements GatherND ScatterElements ScatterND TensorScatter Expand Tile Pad Where Dropout Trilu "
    "DepthToSpace SpaceToDepth Compress ReverseSequence Resize Upsample CenterCropPad Col2Im GridSample "
    # sums
    "Add Sub Neg Sum Mean CumSum ReduceSum ReduceMean AveragePool GlobalAveragePool BatchNormalization "
    "RotaryEmbedding "
    # yields no activation
    "Shape Size EyeLike ArgMax ArgMin NonZero OneHot IsNaN IsInf "
    "Equal Less LessOrEqual Greater GreaterOrEqual "
    # number formats of the original model
    "QuantizeLinear DequantizeLinear DynamicQuantizeLinear "
    # control flow and containers, whose bodies are visited separately
    "If Loop Scan SequenceConstruct SequenceAt SequenceInsert SequenceEmpty SequenceLength "
    "ConcatFromSequence SplitToSequence Optional OptionalGetElement OptionalHasElement"
)
"""Standard operators that are linear in their activations or pass them on: they need no neuron and no report line."""

_LINEAR_MICROSOFT = operators("RotaryEmbedding QuantizeLinear DequantizeLinear BiasAdd")
"""Operators of onnxruntime that are linear in their activations."""

_SELECTION_REASON = "compares and selects values, which is exact without a neuron"

_SELECTION = operators("Max Min Clip MaxPool GlobalMaxPool MaxRoiPool ReduceMax ReduceMin TopK")

_DIVISION_REASON = "divides by an activation outside a softmax or normalisation"

_REASONS = {
    "Pow": "computes a power of an activation outside a normalisation; no rule matches it",
    "LogSoftmax": "no spiking op computes the logarithm of a softmax; export Softmax if that suffices",
    "Hardmax": "selects the maximum, which is exact without a neuron",
    **dict.fromkeys(_SELECTION, _SELECTION_REASON),
}
"""Reasons for standard operators that are nonlinear but cannot or need not be converted."""


def reason_to_keep(node: ir.Node, flow: ActivationFlow) -> str | None:
    """Why `node`, which no rule claims, is not converted; None where it is not nonlinear in an activation."""
    if not any(flow.is_activation(value) for value in node.inputs):
        return None
    if node.domain == MICROSOFT and node.op_type in _LINEAR_MICROSOFT:
        return None
    if node.domain != "":
        return f"no rule matches the operator {node.domain}.{node.op_type}"
    if node.op_type in _LINEAR:
        return None
    if node.op_type in ("Mul", "Div"):
        divides = node.op_type == "Div" and flow.is_activation(node.inputs[1])
        return _DIVISION_REASON if divides else None
    return _REASONS.get(node.op_type, f"no rule matches {node.op_type} here")

# SPDX-License-Identifier: Apache-2.0
"""Why a node that no rule has claimed stays as it is."""

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
    # number formats, which belong to the model that was given
    "QuantizeLinear DequantizeLinear "
    # control flow and containers, whose bodies are visited on their own
    "If Loop Scan SequenceConstruct SequenceAt SequenceInsert SequenceEmpty SequenceLength "
    "ConcatFromSequence SplitToSequence Optional OptionalGetElement OptionalHasElement"
)
"""Operators that are linear in their activations, or pass them on."""

_LINEAR_MICROSOFT = operators("RotaryEmbedding QuantizeLinear DequantizeLinear BiasAdd")
"""onnxruntime's own operators of that kind."""

_INTEGER = operators("DynamicQuantizeLinear MatMulInteger ConvInteger QLinearMatMul QLinearConv")
_WHOLE_NUMBERS = "computes in whole numbers, which no neuron codes; quantize in the QDQ format for that"

_SELECTION = operators("Max Min Clip MaxPool GlobalMaxPool MaxRoiPool ReduceMax ReduceMin TopK")

_REASONS = {
    "Pow": "a power of an activation outside a normalisation",
    "LogSoftmax": "no neuron is fitted to the logarithm of a softmax; export Softmax where it suffices",
    "Hardmax": "selects the maximum, which is exact without a neuron",
    **dict.fromkeys(_INTEGER, _WHOLE_NUMBERS),
    **dict.fromkeys(_SELECTION, "compares and selects values, which is exact without a neuron"),
}


def reason_to_keep(node: ir.Node, flow: ActivationFlow) -> str | None:
    """Why `node`, which no rule has claimed, is kept; None where it is not nonlinear in an activation."""
    if not any(flow.is_activation(value) for value in node.inputs):
        return None
    if node.domain == MICROSOFT and node.op_type in _LINEAR_MICROSOFT:
        return None
    if node.domain != "":
        return f"no rule knows the operator {node.domain}.{node.op_type}"
    if node.op_type in _LINEAR:
        return None
    if node.op_type in ("Mul", "Div"):
        return _reason_of_quotient(node, flow)
    return _REASONS.get(node.op_type, f"no rule knows what {node.op_type} computes here")


def _reason_of_quotient(node: ir.Node, flow: ActivationFlow) -> str | None:
    if node.op_type == "Div" and flow.is_activation(node.inputs[1]):
        return "divides by an activation outside a softmax or normalisation"
    return None

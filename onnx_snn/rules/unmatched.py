# SPDX-License-Identifier: Apache-2.0
"""The classes of the nodes that no rule claims, and the reasons why they are not converted."""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.graph.domains import MACHINE_LEARNING, MICROSOFT, MICROSOFT_BLOCKED
from onnx_snn.graph.operator_lists import (
    INTEGER,
    INTEGER_MICROSOFT,
    MOVEMENT,
    RANDOM,
    RECURRENT,
    RECURRENT_MICROSOFT,
    SELECTION,
    SUMS,
    operators,
)
from onnx_snn.rules.node_class import NodeClass

_LINEAR = MOVEMENT | SUMS | RANDOM
"""Standard operators that are linear in their activations or pass them on: they need no neuron and no report line."""

_LINEAR_MACHINE_LEARNING = operators("ZipMap LabelEncoder CategoryMapper ArrayFeatureExtractor FeatureVectorizer")
"""Operators of ONNX-ML that move values, into maps or by tables."""

_LINEAR_MICROSOFT = operators("RotaryEmbedding QuantizeLinear DequantizeLinear BiasAdd")
"""Operators of onnxruntime that are linear in their activations."""

_INTEGER_REASON = "computes with integers, which spiking ops do not support; quantize in the QDQ format instead"

_SELECTION_REASON = "compares and selects values, which is exact without a neuron"

_RECURRENT_REASON = "recurrent state inside: each step needs the one before, which spiking ops do not support"

_BLOCKED_REASON = (
    "computes in the blocked layout of one processor; save the optimized network at the level ORT_ENABLE_EXTENDED, "
    "which keeps the layout of ONNX"
)

_DIVISION_REASON = "divides by an activation outside a softmax or normalisation"

_TRAINING_REASON = "normalizes by the statistics of its batch; export the network for inference"

_REASONS = {
    "Pow": "computes a power whose exponent is an activation",
    **dict.fromkeys(INTEGER, _INTEGER_REASON),
    **dict.fromkeys(RECURRENT, _RECURRENT_REASON),
}
"""Reasons for standard operators that are nonlinear but cannot or need not be converted."""


def classified(node: ir.Node, flow: ActivationFlow) -> tuple[NodeClass, str]:
    """The class of `node`, which no rule claims, and the reason why it is not converted where that is worth a line."""
    reads = any(flow.holds_activation(value) for value in node.inputs)
    is_standard = node.domain == ""
    if reads and is_standard and node.op_type in SELECTION:
        return NodeClass.EXACT, _SELECTION_REASON
    if not any(flow.holds_activation(value) for value in node.outputs):
        return NodeClass.STEERING, ""
    reason = _reason_of_standard(node, flow) if is_standard else _reason_of_other(node)
    return (NodeClass.LINEAR if reason is None else NodeClass.REFUSED), reason or ""


def _reason_of_other(node: ir.Node) -> str | None:
    """Why `node`, of another domain, is refused; None where it is linear in its activations."""
    if node.domain == MICROSOFT and node.op_type in _LINEAR_MICROSOFT:
        return None
    if node.domain == MICROSOFT_BLOCKED:
        return _BLOCKED_REASON
    if node.domain == MACHINE_LEARNING and node.op_type in _LINEAR_MACHINE_LEARNING:
        return None
    if node.domain == MICROSOFT and node.op_type in INTEGER_MICROSOFT:
        return _INTEGER_REASON
    if node.domain == MICROSOFT and node.op_type in RECURRENT_MICROSOFT:
        return _RECURRENT_REASON
    return f"no rule matches the operator {node.domain}.{node.op_type}"


def _reason_of_standard(node: ir.Node, flow: ActivationFlow) -> str | None:
    """Why `node`, of a standard operator, is refused; None where it is linear in its activations."""
    if node.op_type == "BatchNormalization" and node.attributes.get_int("training_mode", 0) == 1:
        return _TRAINING_REASON
    if node.op_type in _LINEAR or node.op_type == "OneHot":
        return None
    if node.op_type == "Div":
        return _DIVISION_REASON if flow.holds_activation(node.inputs[1]) else None
    if node.op_type == "Mul" and not all(flow.holds_activation(value) for value in node.inputs):
        return None
    return _REASONS.get(node.op_type, f"no rule matches {node.op_type} here")

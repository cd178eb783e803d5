# SPDX-License-Identifier: Apache-2.0
"""Which outputs hold scores of classes, so that the argmax of a row is a prediction.

The rule, read from the graph: an output of rank 2 or 3 has class scores where its last operation is a softmax over the
last axis, or a product with a bias (a classifier or language model head, or similarities of two embeddings). Behind it
may follow what keeps the order of the scores: movement, a scalar factor, a mask, the mean over positions of a feature
map, and the soft cap c tanh(x / c). Normalized, squashed or summed values are hidden states or embeddings: what ends
in a LayerNormalization, a Tanh alone, a Sigmoid, a residual sum or a division by a norm has no classes.
"""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from onnx_snn.graph.constants import scalar
from onnx_snn.graph.map_types import from_proto
from onnx_snn.graph.operator_lists import operators
from onnx_snn.graph.protobuf_weights import read_model

RANKS = (2, 3)
"""Ranks of tensors of class scores: [samples, classes] and [samples, length, classes]."""

_HEADS = operators("MatMul Gemm Einsum FusedMatMul FusedGemm MatMulNBits MatMulBnb4 QLinearMatMul MatMulIntegerToFloat")
_NORMALIZED = operators("Softmax LogSoftmax")
_POOLED = operators("GlobalAveragePool AveragePool ReduceMean")
_MOVED = operators(
    "Identity Cast CastLike Squeeze Unsqueeze Flatten Reshape Split Slice Gather Dropout QuantizeLinear "
    "DequantizeLinear"
)


def has_class_scores(output: ir.Value) -> bool:
    """Whether the output of a model has scores of classes along its last axis."""
    rank = None if output.shape is None else len(output.shape)
    return (rank is None or rank in RANKS) and _ends_in_head(output, rank)


def file_has_class_scores(path: str | Path, output: str) -> bool:
    """Whether the output called `output` of the model in `path` has scores of classes; no weights are read."""
    model = from_proto(read_model(Path(path))[0])
    return any(has_class_scores(value) for value in model.graph.outputs if value.name == output)


def _ends_in_head(value: ir.Value, rank: int | None) -> bool:
    """Whether `value`, of an output of `rank`, is computed by a head and what keeps the order of scores."""
    pooled = scaled = False
    node = value.producer()
    while node is not None:
        if node.op_type == "If":
            branches = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
            return all(_ends_in_head(branch.outputs[value.index() or 0], rank) for branch in branches)
        if node.op_type in _HEADS or (node.op_type == "Conv" and pooled):
            return True
        if node.op_type in _NORMALIZED:
            return _is_last_axis(node)
        if _is_written_softmax(node):
            return True
        data = _data_of(node, rank, scaled)
        if data is None:
            return False
        pooled |= node.op_type in _POOLED
        scaled |= node.op_type in ("Mul", "Div")
        value, node = data, data.producer()
    return False


def _data_of(node: ir.Node, rank: int | None, scaled: bool) -> ir.Value | None:
    """The input of `node` whose scores it hands on in their order; None where it does not."""
    if node.op_type in _MOVED or node.op_type in _POOLED:
        return node.inputs[0]
    if node.op_type == "Transpose":
        return node.inputs[0] if rank == 2 else None
    if node.op_type == "Tanh":
        return node.inputs[0] if scaled else None
    operands = list(node.inputs)
    if node.op_type in ("Mul", "Div"):
        return _only([value for value in operands if not _is_scale(value)])
    if node.op_type in ("Add", "Sub", "Where"):
        return _only([value for value in operands[node.op_type == "Where" :] if not _is_given(value)])
    return None


def _is_written_softmax(node: ir.Node) -> bool:
    """Whether `node` divides exponentials by their sum."""
    if node.op_type != "Div":
        return False
    exponentials, total = node.inputs
    node_of_sum = None if total is None else total.producer()
    while node_of_sum is not None and node_of_sum.op_type in ("Reshape", "Expand", "Unsqueeze", "Identity"):
        total = node_of_sum.inputs[0]
        node_of_sum = None if total is None else total.producer()
    exp = None if exponentials is None else exponentials.producer()
    is_exponential = exp is not None and exp.op_type == "Exp"
    return is_exponential and node_of_sum is not None and exponentials in node_of_sum.inputs


def _only(values: list[ir.Value | None]) -> ir.Value | None:
    return values[0] if len(values) == 1 else None


def _is_scale(value: ir.Value | None) -> bool:
    """Whether `value` is one constant number, or a function of one."""
    node = None if value is None else value.producer()
    while node is not None and len(node.inputs) == 1:
        value = node.inputs[0]
        node = None if value is None else value.producer()
    return scalar(value) is not None


def _is_given(value: ir.Value | None) -> bool:
    """Whether `value` is a weight, an input or a constant, possibly moved: no result of the network."""
    node = None if value is None else value.producer()
    while node is not None and node.op_type != "Constant":
        if node.op_type not in _MOVED and node.op_type != "Transpose":
            return False
        value = node.inputs[0]
        node = None if value is None else value.producer()
    return True


def _is_last_axis(node: ir.Node) -> bool:
    """Whether a softmax runs over the last axis, or an axis of which that is not known."""
    axis, value = node.attributes.get_int("axis", -1), node.inputs[0]
    shape = node.outputs[0].shape if value is None or value.shape is None else value.shape
    return axis == -1 or shape is None or axis == len(shape) - 1

# SPDX-License-Identifier: Apache-2.0
"""Products of a spike tensor with weights or decoded values: sums over time steps and bases of c[t, n] * (S[t, n] W).

Every operator is given as the product of one operand with a number of leading axes, which are those of S and N for
spikes, and none for what a code stands for without spikes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import onnx_ir as ir

from onnx_snn.unrolling.spike_tensors import GraphWriter, SpikeTensor, coefficients

INT64 = ir.DataType.INT64

Linear: TypeAlias = "Callable[[GraphWriter, ir.Node, int, ir.Value, int, int], ir.Value]"
"""From a product node, the place of the operand that spikes, its tensor, the number of leading axes and its rank
without them to the product, without summands."""


def unrolled_product(write: GraphWriter, node: ir.Node, spikes: SpikeTensor, place: int, rank: int) -> ir.Value:
    """The result of the product `node`, whose operand at `place` arrives as `spikes`; `rank` is that of the result."""
    linear = LINEAR[node.op_type]
    stacked = linear(write, node, place, spikes.values(write), 2, spikes.rank)
    weighted = write.node("Mul", stacked, write.column(coefficients(spikes.neuron), rank))
    y = write.node("ReduceSum", weighted, write.integers([0, 1]), keepdims=0)
    if spikes.neuron.bias:
        y = write.node("Add", y, linear(write, node, place, spikes.offset(write), 0, spikes.rank))
    return _with_summand(write, node, y, rank)


def why_dense(node: ir.Node, place: int, ranks: tuple[int, int]) -> str | None:
    """Why the product `node` with these ranks cannot be unrolled over its operand at `place`; None where it can be."""
    if node.domain != "" or node.op_type not in LINEAR:
        return "operator without a form over spikes"
    if node.op_type == "Conv" and place == 1:
        return "its weights spike"
    if node.op_type == "MatMul" and (ranks[1 - place] > ranks[place] or (min(ranks) < 2 and place == 1)):
        return "its other operand has more axes"
    return None


def _matmul(write: GraphWriter, node: ir.Node, place: int, operand: ir.Value, _lead: int, _rank: int) -> ir.Value:
    other = node.inputs[1 - place]
    return write.node("MatMul", *((operand, other) if place == 0 else (other, operand)))


def _gemm(write: GraphWriter, node: ir.Node, place: int, operand: ir.Value, lead: int, _rank: int) -> ir.Value:
    operands = []
    for index, name in enumerate(("transA", "transB")):
        value = operand if index == place else node.inputs[index]
        before = lead if index == place else 0
        if node.attributes.get_int(name, 0):
            value = write.node("Transpose", value, perm=[*range(before), before + 1, before])
        operands.append(value)
    y, alpha = write.node("MatMul", *operands), node.attributes.get_float("alpha", 1.0)
    return y if alpha == 1.0 else write.node("Mul", y, write.constant(alpha))


def _conv(write: GraphWriter, node: ir.Node, _place: int, operand: ir.Value, lead: int, rank: int) -> ir.Value:
    """Time steps and bases are samples of one Conv."""
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    if not lead:
        return write.node("Conv", operand, node.inputs[1], **attributes)
    shape = write.node("Shape", operand, dtype=INT64)
    sides = write.node("Concat", write.integers([-1]), _part(write, shape, lead + 1, lead + rank), dtype=INT64, axis=0)
    made = write.node("Conv", write.node("Reshape", operand, sides), node.inputs[1], **attributes)
    outputs = _part(write, write.node("Shape", made, dtype=INT64), 1, rank)
    apart = write.node("Concat", _part(write, shape, 0, lead + 1), outputs, dtype=INT64, axis=0)
    return write.node("Reshape", made, apart)


def _part(write: GraphWriter, shape: ir.Value, start: int, end: int) -> ir.Value:
    """The sides of a shape from axis `start` to before `end`."""
    return write.node("Slice", shape, write.integers([start]), write.integers([end]), dtype=INT64)


LINEAR: dict[str, Linear] = {"MatMul": _matmul, "Gemm": _gemm, "Conv": _conv}
"""The standard operators that are unrolled."""


def _with_summand(write: GraphWriter, node: ir.Node, y: ir.Value, rank: int) -> ir.Value:
    """`y` with the bias of a Conv, or beta * c of a Gemm."""
    summand = node.inputs[2] if len(node.inputs) > 2 else None
    if summand is None:
        return y
    if node.op_type == "Conv":
        return write.node("Add", y, write.node("Reshape", summand, write.integers([1, -1, *[1] * (rank - 2)])))
    beta = node.attributes.get_float("beta", 1.0)
    return write.node("Add", y, summand if beta == 1.0 else write.node("Mul", summand, write.constant(beta)))

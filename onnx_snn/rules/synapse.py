# SPDX-License-Identifier: Apache-2.0
"""Products of an activation with weights: the synapses of a layer.

    MatMul(x, w)   MatMul(w, x)   Gemm(x, w)   Einsum(x, w)   Conv(x, w)   ConvTranspose(x, w)
    MatMulNBits(x, w, scales)   MatMulBnb4(x, w, scales)      onnxruntime's, with packed weights

Conditions: exactly one of the two operands is an activation. The other one is a constant: an initializer, a
Constant node or an expression of such (Transpose, DequantizeLinear, ...); or it is computed from constants and
what is no activation, such as the relative positions that DeBERTa gathers its keys by, the batch size to which
a pooling head repeats its query, or a mask. Either way spikes meet weights that the network's input does not
choose. The node and its weights stay.
"""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.graph.domains import MICROSOFT
from onnx_snn.rules.product import contraction_axes
from onnx_snn.rules.rule import Refusal, Scope, name_of
from onnx_snn.rules.site import Kind, Site

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_PACKED = ("MatMulNBits", "MatMulBnb4")
_OPERATORS = {("", op_type) for op_type in ("MatMul", "Gemm", "Einsum", *_CONVOLUTIONS)}
_OPERATORS |= {(MICROSOFT, op_type) for op_type in _PACKED}
_CHANNELS = 1
"""Axis of the channels that a convolution sums over."""


def synapse(node: ir.Node, scope: Scope) -> Site | Refusal | None:
    """The product of an activation with weights that `node` computes, or None."""
    if (node.domain, node.op_type) not in _OPERATORS or len(node.inputs) < 2:
        return None
    activations = [index for index in (0, 1) if scope.flow.is_activation(node.inputs[index])]
    if len(activations) != 1:
        return None
    (operand,) = activations
    x, weight = node.inputs[operand], node.inputs[1 - operand]
    if x is None or weight is None or (len(node.inputs) > 2 and node.op_type == "Einsum"):
        return Refusal((node,), "Einsum of more than two operands")
    return Site(
        kind=Kind.SYNAPSE,
        name=name_of(node),
        nodes=(node,),
        inputs=(x,),
        output=node.outputs[0],
        rule=f"synapse_{node.op_type.lower()}",
        parameters={
            "operand": operand,
            "contraction_axis": _contraction_axis(node, operand),
            "contraction_is_fixed": scope.flow.is_constant(weight),
        },
    )


def _contraction_axis(node: ir.Node, operand: int) -> int | None:
    """The axis of the activation that the weights sum over."""
    if node.op_type in _CONVOLUTIONS:
        return _CHANNELS
    return -1 if node.op_type in _PACKED else contraction_axes(node)[operand]

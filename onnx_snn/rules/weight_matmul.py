# SPDX-License-Identifier: Apache-2.0
"""Matmuls and convolutions of an activation with weights: the synapses of a layer.

    MatMul(x, w)   MatMul(w, x)   Gemm(x, w)   Einsum(x, w)   Conv(x, w)   ConvTranspose(x, w)
    MatMulNBits(x, w, scales)   MatMulBnb4(x, w, scales)      of onnxruntime, with packed weights

Condition: exactly one of the two operands is an activation. The other one does not depend on the activations of the
network: it is an initializer, a Constant node or an expression of such (Transpose, DequantizeLinear, ...), or computed
from shapes, positions and masks, like the relative positions of DeBERTa or the query that a pooling head repeats to the
batch size. The node and its weights stay.
"""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.graph.product_operators import Coded, product_operator
from onnx_snn.graph.quantization_grid import grid_of
from onnx_snn.rules.rule import Refusal, Scope, name_of
from onnx_snn.rules.site import WeightMatmulSite


def match(node: ir.Node, scope: Scope) -> WeightMatmulSite | Refusal | None:
    """The site of a matmul or convolution with weights at `node`, a refusal for an Einsum of more operands, or None."""
    operator = product_operator(node)
    if operator is None or Coded.BESIDE_WEIGHTS not in operator.coded or len(node.inputs) < 2:
        return None
    activations = [index for index in (0, 1) if scope.flow.is_activation(node.inputs[index])]
    if len(activations) != 1:
        return None
    (operand,) = activations
    x, weight = node.inputs[operand], node.inputs[1 - operand]
    if x is None or weight is None or (len(node.inputs) > 2 and node.op_type == "Einsum"):
        return Refusal((node,), "Einsum has more than two operands; only two are supported")
    return WeightMatmulSite(
        name=name_of(node),
        nodes=(node,),
        inputs=(x,),
        output=node.outputs[0],
        rule=f"synapse_{node.op_type.lower()}",
        operand=operand,
        contraction_axis=operator.contraction_axes(node)[operand],
        contraction_is_fixed=scope.flow.is_constant(weight),
        grid=grid_of(x),
    )

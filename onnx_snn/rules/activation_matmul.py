# SPDX-License-Identifier: Apache-2.0
"""Matmuls of two activations: both operands vary with the input, so that neither is a weight.

    MatMul(a, b)   Gemm(a, b)   Einsum(a, b)   Mul(a, b)   Conv(a, b)   ConvTranspose(a, b)

Conditions: both operands are activations; no larger formula (a norm, a GELU) has claimed the node. The node stays, and
its operands pass through identity neurons, which precede the repetition of heads where heads share an operand.
A square, Mul(x, x) or Pow(x, 2), has one operand and is a function.
"""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.graph.constants import constant
from onnx_snn.graph.operator_lists import operators
from onnx_snn.graph.product_operators import Coded, product_operator
from onnx_snn.graph.quantization_grid import grid_of
from onnx_snn.rules.repetition import coded_at
from onnx_snn.rules.rule import Scope, name_of
from onnx_snn.rules.site import ActivationMatmulSite, Operand, SoftmaxSite

_KEEPS_PROBABILITIES = operators(
    "Identity Dropout Reshape Transpose Cast Slice Split Squeeze Unsqueeze Expand Flatten Gather"
)
"""Operators that move or repeat elements without changing them, so that probabilities remain probabilities."""


def match(node: ir.Node, scope: Scope) -> ActivationMatmulSite | None:
    """The site of a matmul of two activations at `node`, or None."""
    operator = product_operator(node)
    if operator is None or Coded.PAIRS not in operator.coded or len(node.inputs) < 2:
        return None
    a, b = node.inputs[:2]
    if a is None or b is None or not (scope.flow.is_activation(a) and scope.flow.is_activation(b)):
        return None
    if node.op_type == "Einsum" and len(node.inputs) > 2:
        return None
    first, second = (coded_at(node, index, axis) for index, axis in enumerate(operator.contraction_axes(node)))
    return ActivationMatmulSite(
        name=name_of(node),
        nodes=(node,),
        inputs=(first.value, second.value),
        output=node.outputs[0],
        rule=f"product_{node.op_type.lower()}",
        operands=(
            Operand(first.reader, first.contraction_axis, _is_probability(a, scope), grid_of(a)),
            Operand(second.reader, second.contraction_axis, _is_probability(b, scope), grid_of(b)),
        ),
    )


def _is_probability(value: ir.Value | None, scope: Scope) -> bool:
    """Whether `value` consists of outputs of a softmax, possibly moved, and of constants between 0 and 1."""
    if value is None:
        return False
    site = scope.sites.get(value)
    if site is not None:
        return isinstance(site, SoftmaxSite)
    node = value.producer()
    if node is None or node.domain != "":
        return False
    if node.op_type == "Where":
        branches = [branch for branch in node.inputs[1:] if not _is_fraction(branch)]
        return bool(branches) and all(_is_probability(branch, scope) for branch in branches)
    return node.op_type in _KEEPS_PROBABILITIES and _is_probability(node.inputs[0], scope)


def _is_fraction(value: ir.Value | None) -> bool:
    """Whether `value` is a constant with all elements between 0 and 1."""
    tensor = constant(value)
    if tensor is None:
        return False
    array = tensor.numpy()
    return bool(((array >= 0) & (array <= 1)).all())

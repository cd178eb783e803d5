# SPDX-License-Identifier: Apache-2.0
"""Products of two activations: both operands vary with the input, so that neither is a weight.

    MatMul(a, b)   Gemm(a, b)   Einsum(a, b)   Mul(a, b)

Conditions: both operands are activations; nothing larger (a norm, a GELU) has claimed the node. The node
stays and its operands are coded, before they are repeated where heads share them. Pow(x, 2) outside a norm has one
operand and is left to the report.
"""

from __future__ import annotations

import onnx_ir as ir

from onnx_snn.graph.activation_flow import operators
from onnx_snn.graph.constants import constant
from onnx_snn.rules.repetition import coded_at
from onnx_snn.rules.rule import Scope, name_of
from onnx_snn.rules.site import ActivationMatmulSite, Operand, SoftmaxSite

_KEEPS_PROBABILITIES = operators(
    "Identity Dropout Reshape Transpose Cast Slice Split Squeeze Unsqueeze Expand Flatten Gather"
)
"""Operators that move or repeat values and change none."""

Axes = tuple[int | None, int | None]


def product(node: ir.Node, scope: Scope) -> ActivationMatmulSite | None:
    """The product of two activations that `node` computes, or None."""
    if node.domain != "" or node.op_type not in ("MatMul", "Gemm", "Einsum", "Mul") or len(node.inputs) < 2:
        return None
    a, b = node.inputs[:2]
    if a is None or b is None or not (scope.flow.is_activation(a) and scope.flow.is_activation(b)):
        return None
    if node.op_type == "Einsum" and len(node.inputs) > 2:
        return None
    first, second = (coded_at(node, index, axis) for index, axis in enumerate(contraction_axes(node)))
    return ActivationMatmulSite(
        name=name_of(node),
        nodes=(node,),
        inputs=(first.value, second.value),
        output=node.outputs[0],
        rule=f"product_{node.op_type.lower()}",
        operands=(
            Operand(first.reader, first.contraction_axis, _is_probability(a, scope)),
            Operand(second.reader, second.contraction_axis, _is_probability(b, scope)),
        ),
    )


def contraction_axes(node: ir.Node) -> Axes:
    """For each operand the axis that is summed over, from the end; None where there is no single one."""
    attributes = node.attributes
    if node.op_type == "MatMul":
        b = node.inputs[1]
        is_vector = b is not None and b.shape is not None and len(b.shape) == 1
        return -1, -1 if is_vector else -2
    if node.op_type == "Gemm":
        return -2 if attributes.get_int("transA", 0) else -1, -1 if attributes.get_int("transB", 0) else -2
    if node.op_type == "Einsum":
        return _einsum_axes(attributes["equation"].as_string())
    return None, None


def _einsum_axes(equation: str) -> Axes:
    """The axes of the only subscript that two terms share and the result lacks."""
    terms, arrow, result = equation.replace(" ", "").partition("->")
    a, b = terms.split(",")
    contracted = (set(a) & set(b)) - set(result) - {"."}
    if not arrow or len(contracted) != 1:
        return None, None
    (subscript,) = contracted
    return _from_end(a, subscript), _from_end(b, subscript)


def _from_end(term: str, subscript: str) -> int | None:
    """Axis of a subscript counted from the end, unless an ellipsis of unknown length lies between."""
    tail = term[term.index(subscript) :]
    return None if "." in tail or term.count(subscript) > 1 else -len(tail)


def _is_probability(value: ir.Value | None, scope: Scope) -> bool:
    """Whether `value` holds outputs of a softmax, moved about, and constants between 0 and 1."""
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
    tensor = constant(value)
    if tensor is None:
        return False
    array = tensor.numpy()
    return bool(((array >= 0) & (array <= 1)).all())

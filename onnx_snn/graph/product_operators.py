# SPDX-License-Identifier: Apache-2.0
"""The table of product operators, read by recognition, operation counts, energy and tuning.

A *product* is a node that multiplies elements of its operands and, except for Mul, sums over an axis:

MatMul Gemm Einsum                    standard; two activations, or an activation and weights
Mul                                   standard; elementwise, two activations
Conv ConvTranspose                    standard; two activations, or an activation and weights
MatMulNBits MatMulBnb4                onnxruntime's; an activation and weights in a packed format
FusedMatMul FusedGemm FusedConv       onnxruntime's; decomposed by conversions, counted where they are kept
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import onnx_ir as ir

from onnx_snn.graph import mac_counts
from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.graph.domains import MICROSOFT
from onnx_snn.graph.shapes import Shape, Shapes

Axes: TypeAlias = tuple[int | None, ...]
"""Contracted axis of each operand, negative if counted from the end; None where not exactly one axis is contracted."""


class Coded(enum.Flag):
    """In which cases a conversion codes the operands of a product."""

    NONE = 0
    PAIRS = enum.auto()
    """Both operands are coded if both are activations."""
    BESIDE_WEIGHTS = enum.auto()
    """The activation is coded if the other operand is a weight."""


@dataclass(frozen=True)
class ProductOperator:
    """Properties of one product operator.

    Attributes:
        coded: in which cases a conversion codes its operands.
        multiply_accumulates: function of a node, the shapes of its operands and the shape of its output that returns
            the number of multiply-accumulates.
        contraction_axes: function of a node that returns the contracted axis of each operand.
        operands: number of leading inputs that are operands; None for all inputs. Packed weights are not counted, since
            their shape is not that of the unpacked matrix.
        packed: whether the weights are in a packed format of the operator.
        elementwise: whether nothing is summed; such a node counts as a product only if an operand is coded.
    """

    coded: Coded
    multiply_accumulates: Callable[[ir.Node, Sequence[Shape], Shape], int]
    contraction_axes: Callable[[ir.Node], Axes]
    operands: int | None = 2
    packed: bool = False
    elementwise: bool = False


def _matmul_axes(node: ir.Node) -> Axes:
    b = node.inputs[1]
    is_vector = b is not None and b.shape is not None and len(b.shape) == 1
    return -1, -1 if is_vector else -2


def _gemm_axes(node: ir.Node) -> Axes:
    transposed = node.attributes.get_int
    return -2 if transposed("transA", 0) else -1, -1 if transposed("transB", 0) else -2


def _einsum_axes(node: ir.Node) -> Axes:
    """The axes of the only subscript that two terms share and the result lacks."""
    terms, arrow, result = node.attributes["equation"].as_string().replace(" ", "").partition("->")
    operands = terms.split(",")
    if len(operands) != 2:
        return (None,) * len(operands)
    a, b = operands
    contracted = (set(a) & set(b)) - set(result) - {"."}
    if not arrow or len(contracted) != 1:
        return None, None
    (subscript,) = contracted
    return _from_end(a, subscript), _from_end(b, subscript)


def _from_end(term: str, subscript: str) -> int | None:
    """Axis of a subscript counted from the end, unless an ellipsis of unknown length lies between."""
    tail = term[term.index(subscript) :]
    return None if "." in tail or term.count(subscript) > 1 else -len(tail)


def _no_axes(_: ir.Node) -> Axes:
    return None, None


def _channel_axes(_: ir.Node) -> Axes:
    """Channels, which lie behind the samples, or in weights behind the outputs."""
    return 1, 1


def _transposed_channel_axes(_: ir.Node) -> Axes:
    """Channels of the samples; the weights have them on their first axis."""
    return 1, 0


def _last_axis(_: ir.Node) -> Axes:
    return -1, None


_PACKED = ProductOperator(Coded.BESIDE_WEIGHTS, mac_counts.of_matmul, _last_axis, operands=1, packed=True)

PRODUCT_OPERATORS: dict[tuple[str, str], ProductOperator] = {
    ("", "MatMul"): ProductOperator(Coded.PAIRS | Coded.BESIDE_WEIGHTS, mac_counts.of_matmul, _matmul_axes),
    ("", "Gemm"): ProductOperator(Coded.PAIRS | Coded.BESIDE_WEIGHTS, mac_counts.of_gemm, _gemm_axes),
    ("", "Einsum"): ProductOperator(
        Coded.PAIRS | Coded.BESIDE_WEIGHTS, mac_counts.of_einsum, _einsum_axes, operands=None
    ),
    ("", "Mul"): ProductOperator(Coded.PAIRS, mac_counts.of_mul, _no_axes, elementwise=True),
    ("", "Conv"): ProductOperator(Coded.PAIRS | Coded.BESIDE_WEIGHTS, mac_counts.of_conv, _channel_axes),
    ("", "ConvTranspose"): ProductOperator(
        Coded.PAIRS | Coded.BESIDE_WEIGHTS, mac_counts.of_conv_transpose, _transposed_channel_axes
    ),
    (MICROSOFT, "MatMulNBits"): _PACKED,
    (MICROSOFT, "MatMulBnb4"): _PACKED,
    (MICROSOFT, "FusedMatMul"): ProductOperator(Coded.NONE, mac_counts.of_fused_matmul, _no_axes),
    (MICROSOFT, "FusedGemm"): ProductOperator(Coded.NONE, mac_counts.of_gemm, _gemm_axes),
    (MICROSOFT, "FusedConv"): ProductOperator(Coded.NONE, mac_counts.of_conv, _channel_axes),
}
"""The product operators by domain and op type."""


def product_operator(node: ir.Node) -> ProductOperator | None:
    """The entry of the table for `node`; None if it is not a product."""
    return PRODUCT_OPERATORS.get((node.domain, node.op_type))


def operands_of(node: ir.Node) -> list[ir.Value]:
    """Operands of a product, without packed weights; the first input of any other node."""
    operator = product_operator(node)
    count = 1 if operator is None else operator.operands
    return [value for value in node.inputs[:count] if value is not None]


def multiplies_activations(node: ir.Node, flow: ActivationFlow) -> bool:
    """Whether all operands of the product `node` are activations."""
    operator = product_operator(node)
    packed = operator is not None and operator.packed
    return not packed and all(flow.is_activation(value) for value in operands_of(node))


def is_product(node: ir.Node, flow: ActivationFlow) -> bool:
    """Whether `node` is a product with an activation among its operands; elementwise operators do not count."""
    operator = product_operator(node)
    if operator is None or operator.elementwise:
        return False
    return any(flow.is_activation(value) for value in operands_of(node))


def multiply_accumulates(node: ir.Node, shapes: Shapes) -> int:
    """Number of multiply-accumulates of a node of one of `PRODUCT_OPERATORS` in a run with these `shapes`."""
    operands = [shapes.of(value) for value in operands_of(node)]
    output = shapes.of(node.outputs[0])
    once = PRODUCT_OPERATORS[node.domain, node.op_type].multiply_accumulates(node, operands, output)
    return once * shapes.times(node.outputs[0])

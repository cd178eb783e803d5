# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulates of products, from the shapes of what they multiply.

    MatMul Gemm          outputs * length of the contracted axis
    Einsum               product of the sizes of all subscripts
    Mul                  outputs
    Conv ConvTranspose   pairs of an input and an output position that the kernel joins, times the channels that meet;
                         what would fall on padding does not count, since no spike comes from there

An operand of n elements has multiply-accumulates / n outgoing synapses an element: exactly for all but convolutions,
whose elements at the border have fewer than the others, and on average for these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from onnx_snn.graph.activation_flow import ActivationFlow

PRODUCTS = frozenset(("MatMul", "Gemm", "Einsum", "Mul", "Conv", "ConvTranspose"))
"""Standard operators whose operands can be coded."""

CONVOLUTIONS = ("Conv", "ConvTranspose")

Shape = tuple[int, ...]


def is_standard_product(node: ir.Node) -> bool:
    """Whether `node` is of one of `PRODUCTS`."""
    return node.domain == "" and node.op_type in PRODUCTS


def is_product(node: ir.Node, flow: ActivationFlow) -> bool:
    """Whether `node` sums products of activations with anything: what a multiply-accumulate is counted for anywhere."""
    standard = is_standard_product(node) and node.op_type != "Mul"
    return standard and any(flow.is_activation(value) for value in operands_of(node))


def operands_of(node: ir.Node) -> list[ir.Value]:
    """What a product multiplies; of other nodes the first input."""
    count = 1
    if is_standard_product(node):
        count = len(node.inputs) if node.op_type == "Einsum" else 2
    return [value for value in node.inputs[:count] if value is not None]


def multiply_accumulates(node: ir.Node, operands: Sequence[Shape], output: Shape) -> int:
    """Products of two numbers that `node` computes.

    Args:
        node: a node of one of `PRODUCTS`.
        operands: shapes of its first two inputs (of an Einsum, of all).
        output: shape of its output.
    """
    if node.op_type == "Einsum":
        return math.prod(_subscript_sizes(node.attributes["equation"].as_string(), operands))
    if node.op_type in CONVOLUTIONS:
        return _convolved(node, operands[0], operands[1], output)
    length = 1
    if node.op_type == "MatMul":
        length = operands[0][-1]
    elif node.op_type == "Gemm":
        length = operands[0][0 if node.attributes.get_int("transA", 0) else 1]
    return math.prod(output) * length


def _subscript_sizes(equation: str, operands: Sequence[Shape]) -> list[int]:
    """Sizes of all distinct subscripts, those under an ellipsis included."""
    inputs = equation.replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    hidden: Shape = ()
    for term, shape in zip(inputs, operands, strict=True):
        before, dots, after = term.partition("...")
        tail = len(shape) - len(after)
        named = [*zip(before, shape, strict=False), *zip(after, shape[tail:], strict=True)]
        for subscript, size in named:
            sizes[subscript] = max(size, sizes.get(subscript, size))
        if dots:
            hidden = _broadcast(hidden, shape[len(before) : tail])
    return [*sizes.values(), *hidden]


def _broadcast(a: Shape, b: Shape) -> Shape:
    rank = max(len(a), len(b))
    padded = ((1,) * (rank - len(shape)) + tuple(shape) for shape in (a, b))
    return tuple(max(pair) for pair in zip(*padded, strict=True))


def _convolved(node: ir.Node, x: Shape, weight: Shape, y: Shape) -> int:
    """Of a convolution; a transposed one joins the same pairs with input and output in each other's place."""
    transposed = node.op_type == "ConvTranspose"
    wide, narrow = (y, x) if transposed else (x, y)
    kernel = weight[2:]
    axes = len(kernel)
    strides = _ints(node, "strides", [1] * axes)
    dilations = _ints(node, "dilations", [1] * axes)
    pairs = 1
    for axis in range(axes):
        before = _padding(node, axis, wide[2 + axis], narrow[2 + axis], kernel, strides, dilations)
        pairs *= _joined(wide[2 + axis], narrow[2 + axis], kernel[axis], strides[axis], dilations[axis], before)
    # Weights are [outputs, inputs / groups, ...], transposed [inputs, outputs / groups, ...].
    return x[0] * weight[0] * weight[1] * pairs


def _joined(wide: int, narrow: int, kernel: int, stride: int, dilation: int, before: int) -> int:
    """Pairs of positions along one axis: of a kernel's taps, those that fall on no padding."""
    return sum(
        0 <= position * stride + tap * dilation - before < wide for position in range(narrow) for tap in range(kernel)
    )


def _padding(
    node: ir.Node,
    axis: int,
    wide: int,
    narrow: int,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> int:
    """Padding before the first element of an axis."""
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    if mode == "NOTSET" and "output_shape" not in node.attributes:
        return _ints(node, "pads", [0] * 2 * len(kernel))[axis]
    if mode == "VALID":
        return 0
    total = max(0, (narrow - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1 - wide)
    return total // 2 if mode == "SAME_UPPER" else total - total // 2


def _ints(node: ir.Node, name: str, default: Sequence[int]) -> Sequence[int]:
    attributes: Mapping[str, ir.Attr] = node.attributes
    return attributes[name].as_ints() if name in attributes else default

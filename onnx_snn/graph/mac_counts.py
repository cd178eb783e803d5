# SPDX-License-Identifier: Apache-2.0
"""Numbers of multiply-accumulates (MACs) of products, from the shapes of their operands and output.

    MatMul Gemm          output elements * size of the contracted axis
    Einsum               product of the sizes of all subscripts
    Mul                  output elements
    Conv ConvTranspose   pairs of an input and an output position that the kernel connects, times batch size, output
                         channels and input channels per group; taps on padding are not counted

Each element of an operand of n elements has MACs / n outgoing synapses. For convolutions, whose border elements have
fewer synapses, this is the mean. `onnx_snn.graph.product_operators` assigns a function to each operator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from onnx_snn.graph.shapes import Shape


def of_matmul(_: ir.Node, operands: Sequence[Shape], output: Shape) -> int:
    """Outputs times the last axis of the first operand."""
    return math.prod(output) * operands[0][-1]


def of_fused_matmul(node: ir.Node, operands: Sequence[Shape], output: Shape) -> int:
    """FusedMatMul: outputs times the axis of the first operand that its attributes turn to the end."""
    transposed, batch_last = (node.attributes.get_int(name, 0) for name in ("transA", "transBatchA"))
    axis = (0 if batch_last else -2) if transposed and len(operands[0]) > 1 else -1
    return math.prod(output) * operands[0][axis]


def of_gemm(node: ir.Node, operands: Sequence[Shape], output: Shape) -> int:
    """Outputs times the columns of the first operand, or its rows where it is transposed."""
    return math.prod(output) * operands[0][0 if node.attributes.get_int("transA", 0) else 1]


def of_mul(_: ir.Node, __: Sequence[Shape], output: Shape) -> int:
    """One for each output."""
    return math.prod(output)


def of_einsum(node: ir.Node, operands: Sequence[Shape], _: Shape) -> int:
    """Product of the sizes of all subscripts."""
    return math.prod(_subscript_sizes(node.attributes["equation"].as_string(), operands))


def of_conv(node: ir.Node, operands: Sequence[Shape], output: Shape) -> int:
    """Pairs of an input and an output position that the kernel joins, times the channels that meet."""
    x, weight = operands
    return _convolved(node, x[0], weight, wide=x[2:], narrow=output[2:])


def of_conv_transpose(node: ir.Node, operands: Sequence[Shape], output: Shape) -> int:
    """MACs of the convolution with input and output exchanged, which connects the same pairs of positions."""
    x, weight = operands
    return _convolved(node, x[0], weight, wide=output[2:], narrow=x[2:])


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


def _convolved(node: ir.Node, samples: int, weight: Shape, *, wide: Shape, narrow: Shape) -> int:
    """MACs of a convolution from an input with spatial shape `wide` to an output with spatial shape `narrow`."""
    kernel = weight[2:]
    strides = _ints(node, "strides", [1] * len(kernel))
    dilations = _ints(node, "dilations", [1] * len(kernel))
    pairs = 1
    for axis in range(len(kernel)):
        before = _padding(node, axis, wide[axis], narrow[axis], kernel, strides, dilations)
        pairs *= _joined(wide[axis], narrow[axis], kernel[axis], strides[axis], dilations[axis], before)
    # Weights are [outputs, inputs / groups, ...], transposed [inputs, outputs / groups, ...].
    return samples * weight[0] * weight[1] * pairs


def _joined(wide: int, narrow: int, kernel: int, stride: int, dilation: int, before: int) -> int:
    """Number of connected pairs of input and output positions along one axis: kernel taps that are not on padding."""
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

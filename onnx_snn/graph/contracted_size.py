# SPDX-License-Identifier: Apache-2.0
"""The number of products that a contraction sums for each element of its output, where shapes tell it.

    MatMul(a, b)   K, the last axis of a        Conv(x, w)   channels of a group times the size of the kernel
    Einsum(a, b)   the subscripts that the result lacks, such as j in ij,jk->ik

A sum of one product is no weight matmul but a scaling: the outer product of positions and frequencies of a rotary
embedding, or a convolution with one weight for each channel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from onnx_snn.graph.constants import constant


def contracted_size(node: ir.Node) -> int | None:
    """How many products `node`, one of `CONTRACTIONS`, sums for an element; None where no shape tells it."""
    shapes = [_dims(value) for value in node.inputs]
    if node.op_type == "Einsum":
        return _of_einsum(node.attributes["equation"].as_string().replace(" ", ""), shapes)
    a, b = shapes[:2]
    if node.op_type == "Conv":
        return _product(None if b is None else b[1:])
    if node.op_type == "ConvTranspose":
        return _product(None if b is None else [*b[:1], *b[2:]])
    transposed = node.attributes.get_int
    first, second = -1, -1 if b is not None and len(b) == 1 else -2
    if node.op_type == "Gemm":
        first, second = -2 if transposed("transA", 0) else -1, -1 if transposed("transB", 0) else -2
    sizes = [dims[axis] for dims, axis in ((a, first), (b, second)) if dims is not None and len(dims) >= -axis]
    return next((size for size in sizes if size is not None), None)


def _of_einsum(equation: str, shapes: Sequence[Sequence[int | None] | None]) -> int | None:
    terms, arrow, result = equation.partition("->")
    if not arrow:
        return None
    known: dict[str, int | None] = {}
    for term, dims in zip(terms.split(","), shapes, strict=False):
        explicit = dims is not None and "." not in term and len(dims) == len(term)
        for place, subscript in enumerate(term):
            size = dims[place] if explicit and dims is not None else None
            known[subscript] = size if known.get(subscript) is None else known[subscript]
    return _product([size for subscript, size in known.items() if subscript not in result])


def _product(sizes: Sequence[int | None] | None) -> int | None:
    """The product of `sizes`; None where one is unknown."""
    known = [size for size in sizes or () if size is not None]
    return None if sizes is None or len(known) < len(sizes) else math.prod(known)


def _dims(value: ir.Value | None) -> list[int | None] | None:
    """The sizes of the axes of `value`, None for one that is not fixed; None for an unknown shape."""
    if value is None:
        return None
    if value.shape is not None:
        return [size if isinstance(size, int) else None for size in value.shape]
    tensor = constant(value)
    if tensor is not None:
        return list(tensor.shape.numpy())
    node = value.producer()
    if node is None or node.domain != "" or node.op_type not in ("Unsqueeze", "Cast", "Identity"):
        return None
    dims = _dims(node.inputs[0])
    return _unsqueezed(node, dims) if node.op_type == "Unsqueeze" and dims is not None else dims


def _unsqueezed(node: ir.Node, dims: Sequence[int | None]) -> list[int | None] | None:
    """The sizes `dims` with the new axes of an Unsqueeze among them."""
    axes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if axes is None:
        return None
    new = axes.numpy().ravel().tolist()
    rank = len(dims) + len(new)
    places = {axis % rank for axis in new}
    rest = iter(dims)
    return [1 if axis in places else next(rest) for axis in range(rank)]

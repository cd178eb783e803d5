# SPDX-License-Identifier: Apache-2.0
"""What a spike costs: how many accumulates it starts.

A *synaptic operation* is one spike times one outgoing weight. A coded operand of a product with m scalar
multiplications and e elements has a fan-out of m / e; a tensor that several products read, that of all of them. Where
no product reads a neuron (functions, and the neurons inside softmax and the normalizations) a spike is one accumulate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from onnx_snn.data import Feed, sample_count
from onnx_snn.observer import Observer
from onnx_snn.rules.product import contraction_axes
from onnx_snn.rules.site import Kind, Site

ACCUMULATE_PJ, MULTIPLY_ACCUMULATE_PJ = 0.9, 4.6
"""Energy of a 32-bit floating-point addition, and of a multiplication with addition, in 45 nm
(Horowitz, ISSCC 2014)."""

Shapes = Mapping[str, tuple[int, ...]]

_ROWS = ("reciprocal", "rsqrt")
"""Neurons that see one value a row."""


@dataclass(frozen=True)
class Load:
    """What hangs on one neuron.

    Attributes:
        elements: values that it codes, for each sample.
        fan_out: accumulates that one of its spikes starts.
        weighted: share of the fan-out that goes to products with weights, 0 to 1.
    """

    elements: float
    fan_out: float
    weighted: float = 0.0

    def joined(self, other: Load) -> Load:
        """The load of one code that has the readers of both."""
        fan_out = self.fan_out + other.fan_out
        weighted = (self.fan_out * self.weighted + other.fan_out * other.weighted) / fan_out
        return Load(self.elements, fan_out, weighted)


def observed_shapes(model: ir.Model, sites: Iterable[Site], feed: Feed) -> dict[str, tuple[int, ...]]:
    """Shapes of all that goes into and comes out of the nodes of `sites`, for `feed`."""
    values = [value for site in sites for value in (*site.inputs, *site.nodes[-1].inputs, *site.nodes[-1].outputs)]
    names = list(dict.fromkeys(str(value.name) for value in values if value is not None and value.name))
    shapes = Observer(model, names, shapes=True)(feed)
    return {name: tuple(map(int, shape)) for name, shape in shapes.items()}


def load_of(site: Site, neuron: str, shapes: Shapes, feed: Feed) -> Load:
    """The load of one neuron of `site`, from the shapes that `feed` gives."""
    samples = sample_count(feed)
    operand = int(neuron.split()[-1]) if neuron.startswith("operand") else 0
    shape = shapes[str(site.inputs[operand].name)]
    elements = math.prod(shape[:-1] if neuron in _ROWS else shape)
    if site.kind not in (Kind.PRODUCT, Kind.SYNAPSE):
        return Load(elements / samples, 1.0)
    fan_out = multiplications(site.nodes[-1], shapes) / max(1, elements)
    return Load(elements / samples, fan_out, float(site.kind is Kind.SYNAPSE))


def multiplications(node: ir.Node, shapes: Shapes) -> int:
    """Scalar multiplications of a product: MatMul, Gemm, Einsum, Conv, ConvTranspose or Mul."""
    a, b = (shapes[str(value.name)] for value in node.inputs[:2] if value is not None)
    result = math.prod(shapes[str(node.outputs[0].name)])
    if node.op_type == "Conv":
        return result * math.prod(b[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(a) * math.prod(b[1:])
    if node.op_type == "Einsum":
        return _einsum_multiplications(node.attributes["equation"].as_string(), a, b, result)
    if node.op_type == "Mul":
        return result
    axis = contraction_axes(node)[0]
    return result * (1 if axis is None else a[axis])


def _einsum_multiplications(equation: str, a: tuple[int, ...], b: tuple[int, ...], result: int) -> int:
    """Elements of the result times the sizes of the subscripts that are summed over."""
    terms, _, kept = equation.replace(" ", "").partition("->")
    summed: dict[str, int] = {}
    for term, shape in zip(terms.split(","), (a, b), strict=True):
        before, _, after = term.partition("...")
        sizes = [*zip(before, shape, strict=False), *zip(after[::-1], shape[::-1], strict=False)]
        summed |= {subscript: size for subscript, size in sizes if subscript not in kept}
    return result * math.prod(summed.values())

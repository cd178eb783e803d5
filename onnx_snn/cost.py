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

from onnx_snn.energy import EnergyCosts
from onnx_snn.inputs import Feed, sample_count
from onnx_snn.observer import Observer
from onnx_snn.products import multiply_accumulates
from onnx_snn.rules.site import Kind, Site

COSTS = EnergyCosts()
"""Energy of operations, for the figures that the solver prints."""

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
    """Scalar multiplications of a product."""
    operands = [shapes[str(value.name)] for value in node.inputs[:2] if value is not None]
    return multiply_accumulates(node, operands, shapes[str(node.outputs[0].name)])

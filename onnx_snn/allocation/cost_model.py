# SPDX-License-Identifier: Apache-2.0
"""The cost of a spike: the number of accumulates that it causes.

A *synaptic operation* is one spike times one outgoing weight. An operand of e elements of a matmul with m
multiply-accumulates has a fan-out of m / e; the fan-outs of several readers of a code add up. A spike of another neuron
(functions, and the neurons inside softmax and the normalizations) is one accumulate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import onnx_ir as ir

from onnx_snn.data.specs import Feed
from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.graph.product_operators import is_product, multiply_accumulates, operands_of
from onnx_snn.graph.shapes import Shape, Shapes
from onnx_snn.graph.subgraphs import closed_around, places, unconditional_graphs
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.profiling.energy import EnergyCosts
from onnx_snn.profiling.op_counts import is_counted
from onnx_snn.profiling.uncounted import UncountedNode, uncounted_nodes
from onnx_snn.rules.site import MatmulSite, Site
from onnx_snn.runtime.tap_session import ShapeSession

COSTS = EnergyCosts()
"""Energy of operations in pJ (45 nm), for the energies that tuning reports."""


UNTAKEN: Shape = ()
"""Observed shape of a value in a branch that is not taken; the output of a matmul is no scalar otherwise."""


@dataclass(frozen=True)
class Load:
    """Elements per sample and spike fan-out of one neuron.

    Attributes:
        elements: number of values that it codes for each sample.
        fan_out: number of accumulates that a spike causes, mean over its elements.
        synaptic: whether these are accumulates of matmuls.
    """

    elements: float
    fan_out: float
    synaptic: bool = False

    def joined(self, other: Load) -> Load:
        """The load of a code with the readers of both."""
        return Load(self.elements, self.fan_out + other.fan_out, self.synaptic)


class ProductWork(NamedTuple):
    """Multiply-accumulates of the matmuls and convolutions of a network, for each sample.

    Attributes:
        original: number in the original network.
        kept: number in nodes that have no spiking operand after the conversion.
        uncounted: nodes whose operations are in neither number.
    """

    original: float
    kept: float
    uncounted: tuple[UncountedNode, ...] = ()

    def energy(self, synaptic_operations: float) -> float:
        """Ratio of the energy of the spiking network's matmuls to that of the original, by the accumulate-only rule.

        Args:
            synaptic_operations: accumulates caused by spikes, for each sample.
        """
        spent = synaptic_operations * COSTS.accumulate + self.kept * COSTS.multiply_accumulate
        return spent / (self.original * COSTS.multiply_accumulate) if self.original else math.nan


def products_of(model: ir.Model, sites: Iterable[Site]) -> tuple[list[ir.Node], list[ir.Node]]:
    """The matmuls and convolutions of `model` with spiking operands at `sites`, and those without."""
    spiking = dict.fromkeys(site.node for site in sites if isinstance(site, MatmulSite))
    flow = ActivationFlow(model)
    nodes = [node for graph in (model.graph, *_open_subgraphs(model)) for node in graph]
    return list(spiking), [node for node in nodes if node not in spiking and is_product(node, flow)]


def _open_subgraphs(model: ir.Model) -> list[ir.Graph]:
    """The subgraphs of `model` whose tensors can be observed."""
    known = places(model)
    return [graph for graph in known if closed_around(graph, known) is None]


def product_work(model: ir.Model, sites: Iterable[Site], shapes: Shapes, samples: int) -> ProductWork:
    """The multiply-accumulates of `model`, which is converted at `sites`, from its `shapes` in a run of `samples`."""
    sites, flow = list(sites), ActivationFlow(model)
    products = products_of(model, sites)
    spiking, kept = (sum(_multiply_accumulates(node, shapes) for node in nodes) / samples for nodes in products)
    counted = {node for site in sites for node in site.nodes}.union(*products)
    running = unconditional_graphs(model)
    counted |= {node for node in model.graph.all_nodes() if node.graph in running and is_counted(node, flow)}
    return ProductWork(spiking + kept, kept, uncounted_nodes(model, flow, counted))


def _multiply_accumulates(node: ir.Node, shapes: Shapes) -> int:
    """Number of multiply-accumulates of a product; 0 in a branch that is not taken."""
    return 0 if shapes.of(node.outputs[0]) == UNTAKEN else multiply_accumulates(node, shapes)


def observed_shapes(model: ir.Model, sites: Sequence[Site], feeds: Sequence[Feed]) -> Shapes:
    """Shapes of inputs and outputs of `sites` and of the matmuls of `model`, for the first of `feeds` that has them."""
    spiking, kept = products_of(model, sites)
    values = [value for site in sites for value in site.inputs]
    values += [value for node in (*spiking, *kept) for value in (*operands_of(node), *node.outputs)]
    names = list(dict.fromkeys(str(value.name) for value in values if value is not None and value.name))
    session = ShapeSession(model, names)
    shapes: dict[str, Shape] = dict.fromkeys(names, UNTAKEN)
    iterations: dict[str, int] = {}
    for feed in feeds:
        observed = session(feed)
        iterations |= {name: count for name, count in observed.iterations.items() if shapes[name] == UNTAKEN}
        shapes |= {name: shape for name, shape in observed.by_name.items() if shapes[name] == UNTAKEN}
    return Shapes(shapes, iterations)


def load_of(site: Site, role: NeuronRole, shapes: Shapes, samples: int) -> Load:
    """The load of the neuron of `site` with `role`, from the `shapes` in a run of so many `samples`."""
    operand = site.inputs[role.operand or 0]
    shape = shapes.of(operand)
    # An operand from outside the body of a Loop or Scan is coded again in each iteration.
    times = shapes.times(site.output)
    elements = math.prod(shape[:-1] if role.sees_rows else shape) * times
    if not isinstance(site, MatmulSite):
        return Load(elements / samples, 1.0)
    fan_out = _multiply_accumulates(site.node, shapes) / max(1, elements)
    return Load(elements / samples, fan_out, synaptic=True)

# SPDX-License-Identifier: Apache-2.0
"""Counters of a metered network, summed over runs: spikes of neurons, operations of products and of other nodes."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.data.specs import Feed
from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.graph.product_operators import operands_of
from onnx_snn.graph.shapes import Shapes
from onnx_snn.graph.subgraphs import unconditional_graphs
from onnx_snn.neurons.opset import Body
from onnx_snn.neurons.ramps import disjoint
from onnx_snn.profiling.activity import NeuronActivity, Operand, ProductActivity
from onnx_snn.profiling.counted_nodes import CountedNeuron, CountedProduct, carried
from onnx_snn.profiling.energy import NodeWork, Work
from onnx_snn.profiling.op_counts import is_counted, work_of_kept, work_of_product, work_of_spiking
from onnx_snn.profiling.shape_table import ShapeTable, Signature
from onnx_snn.profiling.spike_outputs import Meter, add_gates, meter
from onnx_snn.profiling.uncounted import UncountedNode, uncounted_nodes
from onnx_snn.rules.rule import name_of


class Totals(NamedTuple):
    """Counts of a network over some runs, by the shapes of their inputs.

    Attributes:
        runs: number of runs.
        counts: int64, spikes of all neurons.
        shapes: shapes of the values on which figures depend.
    """

    runs: Mapping[Signature, int]
    counts: Mapping[Signature, NDArray[np.int64]]
    shapes: Mapping[Signature, Shapes]


class Counters:
    """Adds spike counters to a converted model, and accumulates their values over runs.

    Args:
        model: the model, changed in place: it gives out the counts of all neurons.

    Attributes:
        uncounted: nodes that compute with activations and whose operations are not counted.
    """

    def __init__(self, model: ir.Model) -> None:
        meters = meter(model, Body.LOOP)
        self._neurons = [CountedNeuron(entry, entry.neuron) for entry in meters]
        codes = carried({one.node.outputs[0]: index for index, one in enumerate(self._neurons) if one.is_code})
        flow = ActivationFlow(model)
        graphs = unconditional_graphs(model)
        nodes = [node for node in model.graph.all_nodes() if node.graph in graphs]
        found = (CountedProduct.of(node, codes, flow) for node in nodes)
        self._products = [product for product in found if product is not None]
        products = {product.node for product in self._products}
        self._kept = [node for node in nodes if node not in products and is_counted(node, flow)]
        self.uncounted: tuple[UncountedNode, ...] = uncounted_nodes(model, flow, {*products, *self._kept})
        self._shapes = ShapeTable(model, self._observed())
        add_gates(model, meters)
        self._buffer = _Buffer(meters)
        self._runs: Counter[Signature] = Counter()
        self._counts: dict[Signature, NDArray[np.int64]] = {}

    @property
    def outputs(self) -> Mapping[str, NDArray[np.int64]]:
        """Where a run is to write its counts, int64 [S, N], by the name of the output of the model."""
        return self._buffer.outputs

    def add(self, feed: Feed) -> None:
        """Add the counts of one run, which are in `outputs`.

        Args:
            feed: inputs of the run.

        Raises:
            CalibrationError: the run that infers shapes for `feed` fails.
        """
        signature = self._shapes.look_up(feed)
        self._runs[signature] += 1
        # Only sums are computed here, since this adds to the time of every run; figures are derived at the end.
        if signature in self._counts:
            self._counts[signature] += self._buffer.counts
        else:
            self._counts[signature] = self._buffer.counts.copy()

    def totals(self) -> Totals:
        """The counts so far."""
        known = {signature: self._shapes.at(signature) for signature in self._runs}
        return Totals(dict(self._runs), self._counts, known)

    def merge(self, totals: Totals) -> None:
        """Add counts of the same network."""
        for signature, counts in totals.counts.items():
            self._shapes.learn(signature, totals.shapes[signature])
            self._runs[signature] += totals.runs[signature]
            self._counts[signature] = self._counts.get(signature, 0) + counts

    def reset(self) -> None:
        """Forget the runs so far."""
        self._runs, self._counts = Counter(), {}

    def neurons(self) -> tuple[NeuronActivity, ...]:
        """Spikes of every neuron, in graph order."""
        by_signature = [self._buffer.split(counts) for counts in self._counts.values()]
        by_neuron = zip(*by_signature, strict=True)
        return tuple(
            neuron.activity(self._sum(neuron.elements), np.sum(counts, axis=0))
            for neuron, counts in zip(self._neurons, by_neuron, strict=True)
        )

    def products(self) -> tuple[ProductActivity, ...]:
        """Operations of every product, in graph order."""
        totals = {signature: self._spikes(counts) for signature, counts in self._counts.items()}
        return tuple(self._product(product, totals) for product in self._products)

    def _spikes(self, counts: NDArray[np.int64]) -> list[int]:
        """Number of spikes of every neuron, from the counts of all."""
        by_neuron = self._buffer.split(counts)
        return [int(neuron.spikes(own).sum()) for neuron, own in zip(self._neurons, by_neuron, strict=True)]

    def work(self) -> tuple[NodeWork, ...]:
        """Operations of every counted node, in both networks."""
        activities = zip(self._neurons, self.neurons(), strict=True)
        spiking = []
        for node, group in itertools.groupby(activities, lambda pair: pair[0].node):
            neurons, own = zip(*group, strict=True)
            spiking.append(work_of_spiking(node.op_type, own, [disjoint(neuron.neuron) for neuron in neurons]))
        products = zip(self.products(), self._products, strict=True)
        multiplied = [
            work_of_product(
                activity,
                self._sum(product.outputs),
                [self._neurons[code].neuron for code in product.codes.values()],
            )
            for activity, product in products
        ]
        return (*spiking, *multiplied, *(self._kept_work(node) for node in self._kept))

    def _sum(self, number: Callable[[Shapes], int]) -> int:
        """Sum over all runs of `number`, a function of the shapes of a run."""
        return sum(number(self._shapes.at(signature)) * runs for signature, runs in self._runs.items())

    def _product(self, product: CountedProduct, totals: Mapping[Signature, Sequence[int]]) -> ProductActivity:
        operands = tuple(self._operand(product, operand, code, totals) for operand, code in product.codes.items())
        macs = self._sum(product.multiply_accumulates)
        return ProductActivity(name_of(product.node), product.node.op_type, product.kind, macs, operands)

    def _operand(
        self, product: CountedProduct, operand: int, code: int, totals: Mapping[Signature, Sequence[int]]
    ) -> Operand:
        operations = 0
        for signature, spikes in totals.items():
            shapes = self._shapes.at(signature)
            # An element has MACs / elements outgoing synapses; for a convolution this is the mean over its elements.
            numerator = spikes[code] * product.multiply_accumulates(shapes)
            operations += _rounded(numerator, self._neurons[code].elements(shapes))
        arrived = sum(spikes[code] for spikes in totals.values())
        elements = self._sum(lambda shapes: product.elements(operand, shapes))
        return Operand(name_of(self._neurons[code].node), elements, arrived, operations)

    def _kept_work(self, node: ir.Node) -> NodeWork:
        work = Work()
        for signature, runs in self._runs.items():
            shapes = self._shapes.at(signature)
            once = work_of_kept(node, shapes.of(node.inputs[0]), shapes.of(node.outputs[0]))
            work += once * (shapes.times(node.outputs[0]) * runs)
        return NodeWork(name_of(node), node.op_type, work, work)

    def _observed(self) -> list[ir.Value]:
        """The values whose shapes are needed for the counts."""
        nodes = [*(neuron.node for neuron in self._neurons), *(product.node for product in self._products), *self._kept]
        return [value for node in nodes for value in (*operands_of(node), node.outputs[0])]


class _Buffer:
    """Counts of all neurons, one after the other in one array, where onnxruntime writes those of a run.

    Args:
        meters: all neurons, in graph order.

    Attributes:
        counts: int64, the counts of the last run.
        outputs: views of it, int64 [S, N] for each neuron, by the name of the output.
    """

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._shapes = [(entry.neuron.timesteps, entry.neuron.bases) for entry in meters]
        self.counts = np.zeros(sum(map(math.prod, self._shapes)), np.int64)
        self.outputs = dict(zip((entry.output for entry in meters), self.split(self.counts), strict=True))

    def split(self, counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The counts int64 [S, N] of every neuron, in graph order, as views of an array of all."""
        ends = np.cumsum([math.prod(shape) for shape in self._shapes])
        return [part.reshape(shape) for part, shape in zip(np.split(counts, ends[:-1]), self._shapes, strict=True)]


def _rounded(numerator: int, denominator: int) -> int:
    """numerator / denominator rounded to the nearest integer, halves up; 0 for a denominator of 0."""
    return (2 * numerator + denominator) // (2 * denominator) if denominator else 0

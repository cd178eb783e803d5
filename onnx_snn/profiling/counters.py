# SPDX-License-Identifier: Apache-2.0
"""Sums over the runs of a network that counts: spikes of its neurons, operations of its products, work of its nodes."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.conversion.spike_outputs import Meter, add_gates, collect, is_count, meter
from onnx_snn.data.specs import Feed
from onnx_snn.graph.activation_flow import ActivationFlow
from onnx_snn.graph.mac_counts import Shape, is_product, is_standard_product, multiply_accumulates, operands_of
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.opset import DOMAIN, MBE_NEURON, OPERATORS, Body
from onnx_snn.neurons.ramps import disjoint, outermost
from onnx_snn.profiling.activity import NeuronActivity, Operand, ProductActivity, ProductKind
from onnx_snn.profiling.energy import NodeWork, Work
from onnx_snn.profiling.op_counts import COUNTED, IDENTITY, work_of_kept, work_of_product, work_of_spiking
from onnx_snn.rules.rule import name_of
from onnx_snn.runtime.tap_session import Observer

STANDARD_DOMAINS = ("", "com.microsoft")

_MANTISSA_PREFIXES = frozenset(("exp2_", "reciprocal_", "rsqrt_"))
"""Neurons of fractions and mantissas, none of which lies outside the range that these are fitted to."""

Signature: TypeAlias = "tuple[Shape, ...]"
"""Shapes of the inputs of a run, which decide all others."""

Shapes: TypeAlias = Mapping[str, Shape]


class Tally:
    """Lets a converted model count, and sums up its runs.

    Args:
        model: the model, which is changed: its outputs `names` hold the counts of all neurons.
    """

    def __init__(self, model: ir.Model) -> None:
        meters = meter(model, Body.LOOP)
        self._neurons = [_Neuron(entry, entry.neuron) for entry in meters]
        codes = {neuron.node.outputs[0]: index for index, neuron in enumerate(self._neurons) if neuron.is_code}
        flow = ActivationFlow(model)
        self._products = [_Product.of(node, codes, flow) for node in model.graph if _is_product(node, codes, flow)]
        products = {product.node for product in self._products}
        self._kept = [node for node in model.graph if node not in products and _is_counted(node, flow)]
        self._shapes = _ShapeTable(model, self._observed())
        add_gates(model, meters)
        self._layout = _Layout(meters, collect(model, meters))
        self._runs: Counter[Signature] = Counter()
        self._counts: dict[Signature, list[NDArray[np.int64]]] = {}

    @property
    def names(self) -> list[str]:
        """Outputs of the model that hold the counts."""
        return self._layout.names

    def add(self, feed: Feed, counts: Sequence[NDArray[np.int64]]) -> None:
        """Count a run on `feed` with these outputs."""
        signature = signature_of(feed)
        self._shapes.look_up(feed)
        self._runs[signature] += 1
        # No more than the sum: it comes on top of every run.
        if signature in self._counts:
            for total, count in zip(self._counts[signature], counts, strict=True):
                total += count
        else:
            self._counts[signature] = [count.copy() for count in counts]

    def neurons(self) -> tuple[NeuronActivity, ...]:
        """Spikes of every neuron, in graph order."""
        counts = zip(*map(self._layout.split, self._counts.values()), strict=True)
        return tuple(
            neuron.activity(self._sum(neuron.elements), np.sum(of_shapes, axis=0))
            for neuron, of_shapes in zip(self._neurons, counts, strict=True)
        )

    def products(self) -> tuple[ProductActivity, ...]:
        """Operations of every product, in graph order."""
        totals = {
            signature: [int(neuron.spikes(own).sum()) for neuron, own in zip(self._neurons, counts, strict=True)]
            for signature, counts in zip(self._counts, map(self._layout.split, self._counts.values()), strict=True)
        }
        return tuple(self._product(product, totals) for product in self._products)

    def work(self) -> tuple[NodeWork, ...]:
        """Operations of every node that computes, in both networks."""
        activities = zip(self._neurons, self.neurons(), strict=True)
        spiking = []
        for node, group in itertools.groupby(activities, lambda pair: pair[0].node):
            neurons, own = zip(*group, strict=True)
            spiking.append(work_of_spiking(node.op_type, own, [disjoint(neuron.neuron) for neuron in neurons]))
        products = zip(self.products(), self._products, strict=True)
        multiplied = [work_of_product(activity, self._sum(product.outputs)) for activity, product in products]
        return (*spiking, *multiplied, *(self._kept_work(node) for node in self._kept))

    def _sum(self, number: Callable[[Shapes], int]) -> int:
        """Sum over all runs of a number that shapes decide."""
        return sum(number(self._shapes.at(signature)) * runs for signature, runs in self._runs.items())

    def _product(self, product: _Product, totals: Mapping[Signature, Sequence[int]]) -> ProductActivity:
        operands = tuple(self._operand(product, operand, code, totals) for operand, code in product.codes.items())
        macs = self._sum(product.multiply_accumulates)
        return ProductActivity(name_of(product.node), product.node.op_type, product.kind, macs, operands)

    def _operand(
        self, product: _Product, operand: int, code: int, totals: Mapping[Signature, Sequence[int]]
    ) -> Operand:
        operations = 0
        for signature, spikes in totals.items():
            shapes = self._shapes.at(signature)
            # Outgoing synapses of an element, on average at the borders of a convolution.
            numerator = spikes[code] * product.multiply_accumulates(shapes)
            operations += _rounded(numerator, product.elements(operand, shapes))
        arrived = sum(spikes[code] for spikes in totals.values())
        elements = self._sum(lambda shapes: product.elements(operand, shapes))
        return Operand(name_of(self._neurons[code].node), elements, arrived, operations)

    def _kept_work(self, node: ir.Node) -> NodeWork:
        work = Work()
        for signature, runs in self._runs.items():
            shapes = self._shapes.at(signature)
            work += work_of_kept(node, shapes[_name(node.inputs[0])], shapes[_name(node.outputs[0])]) * runs
        return NodeWork(name_of(node), node.op_type, work, work)

    def _observed(self) -> list[str]:
        """Names of the values whose shapes matter."""
        nodes = [*(neuron.node for neuron in self._neurons), *(product.node for product in self._products), *self._kept]
        values = [value for node in nodes for value in (*operands_of(node), node.outputs[0])]
        return list(dict.fromkeys(_name(value) for value in values))


class _Layout:
    """How the counts of all neurons lie in the collected ones."""

    def __init__(self, meters: Sequence[Meter], collected: Mapping[str, Sequence[Meter]]) -> None:
        self.names = list(collected)
        places = {entry.output: index for index, entry in enumerate(meters)}
        self._order = [[places[entry.output] for entry in group] for group in collected.values()]
        steps = [[entry.neuron.timesteps for entry in group] for group in collected.values()]
        self._starts = [np.cumsum([0, *group[:-1]]) for group in steps]
        self._size = len(meters)

    def split(self, counts: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        """Counts [S, N] of every neuron."""
        parts: dict[int, NDArray[np.int64]] = {}
        for order, starts, array in zip(self._order, self._starts, counts, strict=True):
            parts |= zip(order, np.split(array, starts[1:]), strict=True)
        return [parts[index] for index in range(self._size)]


def signature_of(feed: Feed) -> Signature:
    """The shapes of `feed`."""
    return tuple(array.shape for array in feed.values())


class _ShapeTable:
    """Shapes of the values `names` of a model, looked up once for each shape of its inputs."""

    def __init__(self, model: ir.Model, names: Sequence[str]) -> None:
        self._observer = Observer(_without_spikes(model), names, shapes=True)
        self._known: dict[Signature, Shapes] = {}

    def look_up(self, feed: Feed) -> None:
        """Learn the shapes for those of `feed`, unless they are known."""
        signature = signature_of(feed)
        if signature not in self._known:
            found = self._observer(feed)
            self._known[signature] = {name: tuple(int(side) for side in shape) for name, shape in found.items()}

    def at(self, signature: Signature) -> Shapes:
        """The shapes that were looked up for this signature."""
        return self._known[signature]


def _without_spikes(model: ir.Model) -> ir.Model:
    """A copy of `model` whose spiking nodes pass on what they get: of the same shapes, without their work."""
    copy = model.clone()
    copy.graph.outputs[:] = [value for value in copy.graph.outputs if not is_count(value)]
    for node in list(copy.graph):
        if node.domain == DOMAIN:
            passed = ir.node("Identity", [node.inputs[0]], outputs=None)
            name = node.outputs[0].name
            copy.graph.insert_before(node, passed)
            node.outputs[0].replace_all_uses_with(passed.outputs[0], replace_graph_outputs=True)
            passed.outputs[0].type, passed.outputs[0].shape = node.outputs[0].type, node.outputs[0].shape
            copy.graph.remove(node, safe=True)
            passed.outputs[0].name = name
    for identifier in [identifier for identifier in copy.functions if identifier[0] == DOMAIN]:
        del copy.functions[identifier]
    return copy


@dataclass(frozen=True, eq=False)
class _Neuron:
    """A neuron of a spiking node, as the model has it: before it is given a gate to count with."""

    meter: Meter
    neuron: MbeNeuron

    @property
    def node(self) -> ir.Node:
        """The spiking node."""
        return self.meter.node

    @property
    def is_code(self) -> bool:
        """Whether it codes an operand."""
        return self.node.op_type == MBE_NEURON.name and self.meter.source == IDENTITY

    def elements(self, shapes: Shapes) -> int:
        """Elements of one run: those of the input, or its rows for a neuron that sees one number a row."""
        shape = shapes[_name(self.node.outputs[0])]
        if self.meter.prefix == OPERATORS[self.node.op_type].neurons[0][0]:
            return math.prod(shape)
        return math.prod(shape[:-1])

    def activity(self, elements: int, counts: NDArray[np.int64]) -> NeuronActivity:
        """What it did with `elements`, of which all neurons with sizes have counted the saturated ones apart."""
        sizes = self.neuron.sizes
        return NeuronActivity(
            node=name_of(self.node),
            neuron=self.meter.prefix.rstrip("_"),
            source=self.meter.source,
            elements=elements,
            spikes=self.spikes(counts),
            gate=sizes is not None and sizes.gate,
            out_of_range=self._out_of_range(counts),
        )

    def spikes(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Spikes [S, N] of the neuron without the gate that it may have been given to count with."""
        return np.asarray(counts[1:] + counts[0], np.int64) if self._is_given_a_gate else counts

    @property
    def _is_given_a_gate(self) -> bool:
        return self.neuron.sizes is not None and not self.neuron.sizes.gate

    def _out_of_range(self, counts: NDArray[np.int64]) -> int | None:
        """Elements beyond the outermost levels; None where saturation is not counted apart."""
        if self.neuron.sizes is None:
            return None
        if self.meter.prefix in _MANTISSA_PREFIXES:
            return 0
        ends = [basis for basis in outermost(self.neuron) if basis is not None]
        return int(counts[0, ends].sum())


@dataclass(frozen=True, eq=False)
class _Product:
    """A product, and of those of its operands that are coded which neuron codes them."""

    node: ir.Node
    kind: ProductKind
    codes: Mapping[int, int]

    @classmethod
    def of(cls, node: ir.Node, codes: Mapping[ir.Value, int], flow: ActivationFlow) -> _Product:
        """The product that `node` computes, of whose operands some are outputs of `codes`."""
        coded = {i: codes[value] for i, value in enumerate(operands_of(node)) if value in codes}
        vary = all(flow.is_activation(value) for value in operands_of(node))
        return cls(node, ProductKind.ACTIVATIONS if vary else ProductKind.WEIGHTS, coded)

    def multiply_accumulates(self, shapes: Shapes) -> int:
        """Products of two numbers in one run."""
        operands = [shapes[_name(value)] for value in operands_of(self.node)]
        return multiply_accumulates(self.node, operands, shapes[_name(self.node.outputs[0])])

    def outputs(self, shapes: Shapes) -> int:
        """Elements of its output in one run."""
        return math.prod(shapes[_name(self.node.outputs[0])])

    def elements(self, operand: int, shapes: Shapes) -> int:
        """Elements of one operand in one run."""
        return math.prod(shapes[_name(operands_of(self.node)[operand])])


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator) if denominator else 0


def _is_product(node: ir.Node, codes: Mapping[ir.Value, int], flow: ActivationFlow) -> bool:
    """Whether `node` is a product of activations with anything; of numbers one by one only where spikes arrive."""
    coded = is_standard_product(node) and any(value in codes for value in operands_of(node))
    return coded or is_product(node, flow)


def _is_counted(node: ir.Node, flow: ActivationFlow) -> bool:
    """Whether `node` computes something from activations besides products."""
    counted = node.domain in STANDARD_DOMAINS and node.op_type in COUNTED
    return counted and any(flow.is_activation(value) for value in node.inputs)


def _name(value: ir.Value | None) -> str:
    assert value is not None, "observed nodes have a first input"
    return str(value.name)

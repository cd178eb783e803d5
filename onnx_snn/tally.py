# SPDX-License-Identifier: Apache-2.0
"""Sums over the runs of a metered network: spikes of its neurons, operations of its products, work of its nodes."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.activity import NeuronActivity, Operand, ProductActivity, ProductKind
from onnx_snn.data import Feed
from onnx_snn.energy import NodeWork, Work
from onnx_snn.neuron import MbeNeuron
from onnx_snn.observer import Observer
from onnx_snn.opset import DOMAIN, MBE_NEURON, OPERATORS
from onnx_snn.passes.meter import Meter, is_count
from onnx_snn.products import PRODUCTS, Shape, multiply_accumulates
from onnx_snn.ramps import disjoint, outermost
from onnx_snn.rules.activations import ActivationFlow
from onnx_snn.rules.rule import name_of
from onnx_snn.work import COUNTED, IDENTITY, work_of_kept, work_of_product, work_of_spiking

STANDARD_DOMAINS = ("", "com.microsoft")

_MANTISSA_PREFIXES = frozenset(("exp2_", "reciprocal_", "rsqrt_"))
"""Neurons of fractions and mantissas, none of which lies outside the range that these are fitted to."""

Signature: TypeAlias = "tuple[Shape, ...]"
"""Shapes of the inputs of a run, which decide all others."""

Shapes: TypeAlias = Mapping[str, Shape]


class Tally:
    """Sums over runs of a metered model.

    Args:
        model: the model, with counts as its outputs; its shapes are looked up in a copy.
        meters: where its counts come out. Ungated halving neurons are given gates (`passes.meter.add_gates`) before
            the model runs.
    """

    def __init__(self, model: ir.Model, meters: Sequence[Meter]) -> None:
        self._model = model
        self._neurons = [_NeuronSum(entry, entry.neuron) for entry in meters]
        codes = {
            entry.node.outputs[0]: sums for entry, sums in zip(meters, self._neurons, strict=True) if _is_code(entry)
        }
        flow = ActivationFlow(model)
        self._products = [_ProductSum.of(node, codes, flow) for node in model.graph if _is_product(node, codes, flow)]
        products = {sums.node for sums in self._products}
        self._kept = [node for node in model.graph if node not in products and _is_counted(node, flow)]
        self._shapes = _ShapeTable(model, self._observed())
        self._runs: Counter[Signature] = Counter()

    def add(self, feed: Feed, spikes: Sequence[NDArray[np.int64]]) -> None:
        """Count a run on `feed`, in which the neurons fired `spikes`."""
        shapes = self._shapes.of(feed)
        self._runs[signature_of(feed)] += 1
        for neuron, count in zip(self._neurons, spikes, strict=True):
            neuron.add(count, shapes)
        for product in self._products:
            product.add(shapes)

    def neurons(self) -> tuple[NeuronActivity, ...]:
        """Spikes of every neuron, in graph order."""
        return tuple(neuron.activity() for neuron in self._neurons)

    def products(self) -> tuple[ProductActivity, ...]:
        """Operations of every product, in graph order."""
        return tuple(product.activity() for product in self._products)

    def work(self) -> tuple[NodeWork, ...]:
        """Operations of every node that computes, in both networks."""
        spiking = [
            work_of_spiking(node.op_type, [s.activity() for s in sums], [disjoint(s.neuron) for s in sums])
            for node, sums in ((node, list(group)) for node, group in itertools.groupby(self._neurons, _node_of))
        ]
        products = [work_of_product(product.activity(), product.outputs) for product in self._products]
        kept = [self._kept_work(node) for node in self._kept]
        return (*spiking, *products, *kept)

    def _kept_work(self, node: ir.Node) -> NodeWork:
        work = Work()
        for signature, runs in self._runs.items():
            shapes = self._shapes.at(signature)
            work += work_of_kept(node, shapes[_name(node.inputs[0])], shapes[_name(node.outputs[0])]) * runs
        return NodeWork(name_of(node), node.op_type, work, work)

    def _observed(self) -> list[str]:
        """Names of the values whose shapes matter."""
        nodes = [*(sums.meter.node for sums in self._neurons), *(sums.node for sums in self._products), *self._kept]
        values = [value for node in nodes for value in (*_operands(node), node.outputs[0])]
        return list(dict.fromkeys(_name(value) for value in values))


def signature_of(feed: Feed) -> Signature:
    """The shapes of `feed`."""
    return tuple(array.shape for array in feed.values())


class _ShapeTable:
    """Shapes of the values `names` of a model, looked up once for each shape of its inputs."""

    def __init__(self, model: ir.Model, names: Sequence[str]) -> None:
        self._observer = Observer(_without_spikes(model), names, shapes=True)
        self._known: dict[Signature, Shapes] = {}

    def of(self, feed: Feed) -> Shapes:
        """The shapes for the shapes of `feed`."""
        signature = signature_of(feed)
        if signature not in self._known:
            found = self._observer(feed)
            self._known[signature] = {name: tuple(int(side) for side in shape) for name, shape in found.items()}
        return self._known[signature]

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


@dataclass
class _NeuronSum:
    """Spikes of one neuron over the runs, and those of the last one."""

    meter: Meter
    neuron: MbeNeuron
    elements: int = 0
    last_spikes: int = 0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    def add(self, counts: NDArray[np.int64], shapes: Shapes) -> None:
        """Count one run."""
        self.counts = counts.copy() if not self.counts.size else self.counts + counts
        self.elements += self._elements(shapes)
        self.last_spikes = int(self._spikes(counts).sum())

    def activity(self) -> NeuronActivity:
        """What the neuron did."""
        halving = self.neuron.halving
        return NeuronActivity(
            node=name_of(self.meter.node),
            neuron=self.meter.prefix.rstrip("_"),
            source=self.meter.source,
            elements=self.elements,
            spikes=self._spikes(self.counts),
            gate=halving is not None and halving.gate,
            out_of_range=self._out_of_range(),
        )

    def _out_of_range(self) -> int | None:
        """Elements beyond the outermost levels; None where saturation is not counted apart."""
        if self.neuron.halving is None:
            return None
        if self.meter.prefix in _MANTISSA_PREFIXES:
            return 0
        ends = [basis for basis in outermost(self.neuron) if basis is not None]
        return int(self.counts[0, ends].sum())

    def _spikes(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Spikes [S, N] of the neuron from its counts, which have a gate wherever kernels are halving."""
        if self.neuron.halving is None or self.neuron.halving.gate:
            return counts
        return np.asarray(counts[1:] + counts[0], np.int64)

    def _elements(self, shapes: Shapes) -> int:
        """Elements of one run: those of the input, or its rows for a neuron that sees one number a row."""
        shape = shapes[_name(self.meter.node.outputs[0])]
        if self.meter.prefix == OPERATORS[self.meter.node.op_type].neurons[0][0]:
            return math.prod(shape)
        return math.prod(shape[:-1])


@dataclass
class _ProductSum:
    """Operations of one product over the runs."""

    node: ir.Node
    kind: ProductKind
    codes: Mapping[int, _NeuronSum]
    macs: int = 0
    outputs: int = 0
    elements: Counter[int] = field(default_factory=Counter)
    spikes: Counter[int] = field(default_factory=Counter)
    operations: Counter[int] = field(default_factory=Counter)

    @classmethod
    def of(cls, node: ir.Node, codes: Mapping[ir.Value, _NeuronSum], flow: ActivationFlow) -> _ProductSum:
        """No operations yet of `node`, of whose operands some are outputs of `codes`."""
        coded = {i: codes[value] for i, value in enumerate(_operands(node)) if value in codes}
        vary = all(flow.is_activation(value) for value in _operands(node))
        return cls(node, ProductKind.ACTIVATIONS if vary else ProductKind.WEIGHTS, coded)

    def add(self, shapes: Shapes) -> None:
        """Count one run, after the neurons."""
        operands = [shapes[_name(value)] for value in _operands(self.node)]
        output = shapes[_name(self.node.outputs[0])]
        macs = multiply_accumulates(self.node, operands, output)
        self.macs += macs
        self.outputs += math.prod(output)
        for index, code in self.codes.items():
            elements = math.prod(operands[index])
            self.elements[index] += elements
            self.spikes[index] += code.last_spikes
            # Outgoing synapses of an element, on average at the borders of a convolution: rounded once a run.
            self.operations[index] += _rounded(code.last_spikes * macs, elements)

    def activity(self) -> ProductActivity:
        """What the product did."""
        operands = tuple(
            Operand(name_of(code.meter.node), self.elements[i], self.spikes[i], self.operations[i])
            for i, code in self.codes.items()
        )
        return ProductActivity(name_of(self.node), self.node.op_type, self.kind, self.macs, operands)


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator) if denominator else 0


def _operands(node: ir.Node) -> list[ir.Value]:
    """What a product multiplies; of other nodes the first input."""
    if node.domain != "" or node.op_type not in PRODUCTS:
        count = 1
    else:
        count = len(node.inputs) if node.op_type == "Einsum" else 2
    return [value for value in node.inputs[:count] if value is not None]


def _is_code(entry: Meter) -> bool:
    return entry.node.op_type == MBE_NEURON.name and entry.source == IDENTITY


def _is_product(node: ir.Node, codes: Mapping[ir.Value, _NeuronSum], flow: ActivationFlow) -> bool:
    """Whether `node` is a product of activations with anything; of numbers one by one only where spikes arrive."""
    if node.domain != "" or node.op_type not in PRODUCTS:
        return False
    operands = _operands(node)
    if any(value in codes for value in operands):
        return True
    return node.op_type != "Mul" and any(flow.is_activation(value) for value in operands)


def _is_counted(node: ir.Node, flow: ActivationFlow) -> bool:
    """Whether `node` computes something from activations besides products."""
    counted = node.domain in STANDARD_DOMAINS and node.op_type in COUNTED
    return counted and any(flow.is_activation(value) for value in node.inputs)


def _node_of(sums: _NeuronSum) -> ir.Node:
    return sums.meter.node


def _name(value: ir.Value | None) -> str:
    assert value is not None, "observed nodes have a first input"
    return str(value.name)

# SPDX-License-Identifier: Apache-2.0
"""What a replay shows: for every product whether spikes reproduce it, and what is not an accumulation."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from onnx_snn.errors import ModelError
from onnx_snn.events.coded_operands import CodedOperand
from onnx_snn.events.replay.products import BILINEAR, Outcome, ReplayableProduct
from onnx_snn.formatting import screen_table, wrapped
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.output_files import write_json
from onnx_snn.profiling.activity import ProductActivity
from onnx_snn.profiling.counters import Counters
from onnx_snn.profiling.energy import NodeWork
from onnx_snn.rules.rule import name_of

FLOAT64_ROUNDINGS = 1024 * 2.0**-53
"""Largest difference, relative to the product of magnitudes, that float64 sums of some thousand terms explain."""

NAMED = 5
"""Largest number of products that an error message names."""

OPERAND_ROUNDINGS = 2
"""Roundings of a term of the file's product before it is summed: those of its operands."""


@dataclass(frozen=True)
class ReplayedProduct:
    """One product, made by spikes.

    Attributes:
        node: name of the product.
        operator: its op type.
        neurons: names of the nodes that code its operands.
        spikes: spikes of its operands.
        accumulations: accumulations that they cause.
        counted: those that `profile` counts, which takes the mean over the elements of a padded convolution.
        factors: multiplications of sums that are no shifts: those of Horner's rule where intensities do not halve, and
            those of the readout.
        error: largest difference from the product of the decoded operands, in units of 2**-53 of the product of their
            magnitudes.
        ulps: largest difference of the file's result, in units of its roundoff (2**-24 in float32) of the same.
        faults: what a spike-by-spike execution does otherwise than the file; empty where it is reproduced.
    """

    node: str
    operator: str
    neurons: tuple[str, ...]
    spikes: int
    accumulations: int
    counted: int
    factors: int
    error: float
    ulps: float
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Replay:
    """The replay of a network on data.

    Attributes:
        model: path of the model, or the type of a model given in memory.
        samples: number of samples.
        products: the products that were replayed, in graph order.
        left: products that were not replayed, with the reason.
        others: number of nodes and elementary operations of what is no product, by kind.
    """

    model: str
    samples: int
    products: tuple[ReplayedProduct, ...]
    left: Mapping[str, str]
    others: Mapping[str, tuple[int, float]]

    @property
    def reproduced(self) -> bool:
        """Whether every replayed product is what its spikes make of it."""
        return not any(product.faults for product in self.products)

    def check(self) -> None:
        """Raise ModelError, which names the products, unless all are reproduced."""
        faulty = [product.node for product in self.products if product.faults]
        if faulty:
            raise ModelError(
                f"{self.model}: {len(faulty)} of {len(self.products)} products are not what spikes make of them: "
                f"{', '.join(faulty[:NAMED])}; convert the network again, and report it if that does not help"
            )

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return dataclasses.asdict(self) | {"reproduced": self.reproduced}

    def save(self, path: str | Path) -> None:
        """Write the figures as a JSON file.

        Raises:
            OutputError: the file cannot be written.
        """
        write_json(path, self.to_json())

    def text(self) -> str:
        """The figures for a terminal."""
        kinds: dict[str, list[ReplayedProduct]] = {}
        for product in self.products:
            kinds.setdefault(product.operator, []).append(product)
        header = ("products", "nodes", "spikes", "accumulations", "factors", "float64 error", "file's error")
        table = screen_table(header, [_row(kind, members) for kind, members in kinds.items()])
        head = f"{self.model}: {len(self.products)} products of {self.samples} samples made by spikes alone"
        faults = [f"{product.node}: {fault}" for product in self.products for fault in product.faults]
        verdict = faults or ["all products are reproduced; spikes and accumulations are those that profile counts"]
        others = screen_table(
            ("no accumulation by spikes", "nodes", "operations/sample"),
            [
                (kind, str(nodes), f"{operations / self.samples:,.0f}")
                for kind, (nodes, operations) in self.others.items()
            ],
        )
        left = [f"not replayed: {node}: {reason}" for node, reason in self.left.items()]
        return "\n\n".join([wrapped(head), table, "\n".join(map(wrapped, [*verdict, *left])), others])


def replay_of(
    model: str,
    samples: int,
    counters: Counters,
    products: Sequence[ReplayableProduct],
    outcomes: Mapping[str, Outcome],
    graph: ir.Graph,
) -> Replay:
    """The report of a replay of the main `graph`, from the counts of the same runs."""
    counted = {activity.node: activity for activity in counters.products()}
    replayed = tuple(
        _replayed(product, outcomes[name_of(product.node)], counted[name_of(product.node)]) for product in products
    )
    known = {product.node for product in replayed}
    left = {
        activity.node: why_left(activity, graph)
        for activity in counted.values()
        if activity.spiking and activity.node not in known
    }
    return Replay(model, samples, replayed, left, _others(counters, counted))


def why_left(product: ProductActivity, graph: ir.Graph) -> str:
    """Why the spikes of a product with coded operands do not meet its other operand one by one."""
    if product.node not in {name_of(node) for node in graph}:
        return f"{product.operator} in the body of a Loop"
    if product.operator not in BILINEAR:
        return f"{product.operator}, whose synapses are not known here"
    return f"{product.operator} of a code whose parameters are computed"


def _others(counters: Counters, products: Mapping[str, ProductActivity]) -> dict[str, tuple[int, float]]:
    """Number of nodes and elementary operations of what is no accumulation by spikes, by kind."""
    nodes: Counter[str] = Counter()
    operations: Counter[str] = Counter()
    for work in counters.work():
        if work.node not in products:
            nodes[work.kind] += 1
            operations[work.kind] += _operations(work)
    for activity in products.values():
        if not activity.spiking:
            nodes["products of numbers"] += 1
            operations["products of numbers"] += activity.multiply_accumulates
    return {kind: (count, float(operations[kind])) for kind, count in nodes.items()}


def _replayed(product: ReplayableProduct, outcome: Outcome, counted: ProductActivity) -> ReplayedProduct:
    codes = [code for code in product.codes if code is not None]
    padded = product.node.op_type == "Conv"
    spikes, made = sum(outcome.spikes), outcome.accumulations
    by_mean = [
        _rounded(own * counted.multiply_accumulates, operand.elements)
        for own, operand in zip(_coded(outcome.spikes, product), counted.operands, strict=True)
    ]
    return ReplayedProduct(
        node=name_of(product.node),
        operator=product.node.op_type,
        neurons=tuple(name_of(code.node) for code in codes),
        spikes=spikes,
        accumulations=made,
        counted=counted.synaptic_operations,
        factors=product.factors * outcome.outputs,
        error=outcome.accumulated / 2.0**-53,
        ulps=outcome.written,
        faults=tuple(_faults(codes, outcome, sum(by_mean) if padded else made, counted)),
    )


def _rounded(numerator: int, denominator: int) -> int:
    """numerator / denominator rounded to the nearest integer, halves up, as `profile` does."""
    return (2 * numerator + denominator) // (2 * denominator)


def _operations(work: NodeWork) -> int:
    """Number of elementary operations of a node that is no product, one basis evaluated for an element."""
    return sum(dataclasses.asdict(work.spiking.routed).values())


def _coded(spikes: Sequence[int], product: ReplayableProduct) -> list[int]:
    """Of the spikes of both operands those of coded ones."""
    return [own for own, code in zip(spikes, product.codes, strict=True) if code is not None]


def _faults(codes: Sequence[CodedOperand], outcome: Outcome, made: int, counted: ProductActivity) -> Iterator[str]:
    """What spikes do otherwise than the file, of which they made so many accumulations."""
    terms = counted.multiply_accumulates / max(outcome.outputs, 1)
    for code in codes:
        step = _unequal_step(code.neuron)
        if step is not None:
            yield f"the neuron {name_of(code.node)!r} adds other than a spike takes from its membrane at {step}"
    if not outcome.decoded:
        yield f"the spikes of {[name_of(code.node) for code in codes]} decode to other values than the file computes"
    if outcome.accumulated > FLOAT64_ROUNDINGS:
        yield f"the sums by spikes differ by {outcome.accumulated:.1e} of the magnitudes"
    if outcome.written > terms + OPERAND_ROUNDINGS:
        yield f"the file's result differs by {outcome.written:.0f} roundings in sums of {terms:.0f} terms"
    if made != counted.synaptic_operations:
        yield f"{made} accumulations, but profile counts {counted.synaptic_operations}"


def _unequal_step(neuron: MbeNeuron) -> str | None:
    """The first time step and basis where threshold, reset and intensity differ; None where they never do."""
    if neuron.sizes is not None:
        return None
    for step in range(neuron.timesteps):
        for basis in range(neuron.bases):
            values = {float(getattr(neuron, name)[step, basis]) for name in ("threshold", "intensity")}
            if len(values) > 1:
                return f"time step {step}, basis {basis}"
    return "a reset"


def _row(kind: str, members: Sequence[ReplayedProduct]) -> tuple[str, ...]:
    spikes, made, factors = (sum(getattr(each, name) for each in members) for name in _SUMS)
    error, ulps = max(each.error for each in members), max(each.ulps for each in members)
    return (kind, str(len(members)), f"{spikes:,}", f"{made:,}", f"{factors:,}", f"{error:.1f} u64", f"{ulps:.1f} u32")


_SUMS = ("spikes", "accumulations", "factors")

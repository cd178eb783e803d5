# SPDX-License-Identifier: Apache-2.0
"""Energy of a spiking network beside that of its original, by rules that each say what they count.

Energy is a count of operations times a cost of each, never a measurement. What is counted decides the answer, so there
is no single figure: every rule counts the same operations of both networks, has a formula and a source, and stands
beside the others. The costs are the user's to change (`EnergyCosts`).

Operations of a node fall into parts:

    synapses   products of activations with weights or activations: multiply-accumulates E_MAC in the original, one
               accumulate E_AC for each synaptic operation in the spiking network. A product that stays one of numbers
               costs the same in both.
    neurons    everything else that computes. Original: activation functions, softmax, normalizations. Spiking
               network: their neurons and those of the codes, as they are defined: each basis takes the resting
               potential from the element and multiplies by the gain, compares at every time step, and with each
               spike resets and adds to the output. What is the same in both (a residual sum, a mean) counts in both.
    routed     the same, but a neuron whose segments are disjoint finds the one that its element lies in, by
               bisection, and runs that basis alone: all others are silent or saturated, and their sum is a constant.
    memory     words that are read and written; see `RULES`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from onnx_snn.errors import ConfigError


@dataclass(frozen=True)
class EnergyCosts:
    """Picojoules of one operation on 32-bit floating-point numbers.

    By default those of a 45 nm process at 0.9 V (M. Horowitz, "Computing's energy problem (and what we can do about
    it)", ISSCC 2014): addition 0.9, multiplication 3.7, access to 64 bits of an 8 KiB memory 10.

    Attributes:
        accumulate: addition.
        multiply: multiplication.
        multiply_accumulate: both.
        comparison: comparison with a threshold or bound; by default that of the addition which decides it.
        access: a 32-bit word read from or written to memory next to the arithmetic.

    Raises:
        ConfigError: a cost is no number, negative or not finite.
    """

    accumulate: float = 0.9
    multiply: float = 3.7
    multiply_accumulate: float = 4.6
    comparison: float = 0.9
    access: float = 5.0

    def __post_init__(self) -> None:
        for name, cost in dataclasses.asdict(self).items():
            if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 <= cost < float("inf"):
                raise ConfigError(f"energy cost {name} is {cost!r}; expected picojoules, a number from 0")

    @classmethod
    def from_json(cls, costs: Mapping[str, Any]) -> EnergyCosts:
        """Costs by name; those that are not given have their default.

        Raises:
            ConfigError: there is no such cost, or it is no number from 0.
        """
        known = [entry.name for entry in dataclasses.fields(cls)]
        unknown = sorted(set(costs) - set(known))
        if unknown:
            raise ConfigError(f"unknown energy costs {unknown}; known are {known}")
        return cls(**costs)


@dataclass(frozen=True)
class Operations:
    """Numbers of operations, by what `EnergyCosts` calls them."""

    accumulate: int = 0
    multiply: int = 0
    multiply_accumulate: int = 0
    comparison: int = 0
    access: int = 0

    def __add__(self, other: Operations) -> Operations:
        return Operations(*(a + b for a, b in zip(_counts(self), _counts(other), strict=True)))

    def __mul__(self, times: int) -> Operations:
        return Operations(*(times * count for count in _counts(self)))

    def energy(self, costs: EnergyCosts) -> float:
        """Picojoules."""
        return float(sum(count * getattr(costs, name) for name, count in dataclasses.asdict(self).items()))


NOTHING = Operations()


@dataclass(frozen=True)
class Work:
    """Operations of a node in one of the two networks, by part; the module says what the parts are."""

    synapses: Operations = NOTHING
    neurons: Operations = NOTHING
    routed: Operations = NOTHING
    memory: Operations = NOTHING

    def __add__(self, other: Work) -> Work:
        return Work(
            self.synapses + other.synapses,
            self.neurons + other.neurons,
            self.routed + other.routed,
            self.memory + other.memory,
        )

    def __mul__(self, times: int) -> Work:
        return Work(self.synapses * times, self.neurons * times, self.routed * times, self.memory * times)


@dataclass(frozen=True)
class NodeWork:
    """Operations of one node in both networks, over all data.

    Attributes:
        node: its name in the spiking network.
        kind: what it computes.
        original: what the original network spends there.
        spiking: what the spiking network spends there.
    """

    node: str
    kind: str
    original: Work
    spiking: Work


@dataclass(frozen=True)
class EnergyRule:
    """Which operations count.

    Attributes:
        name: what it is called in reports.
        parts: fields of `Work` that count.
        formula: the energy of both networks.
        source: who counts like this.
    """

    name: str
    parts: tuple[str, ...]
    formula: str
    source: str

    def energy(self, work: Work, costs: EnergyCosts) -> float:
        """Picojoules of `work` by this rule."""
        return float(sum(getattr(work, part).energy(costs) for part in self.parts))


RULES = (
    EnergyRule(
        "accumulate-only",
        ("synapses",),
        "ANN: MACs * E_MAC;  SNN: SOPs * E_AC + MACs of products that stay * E_MAC",
        "the rule of most papers on spiking networks, arXiv 2508.07710 among them; costs of Horowitz 2014",
    ),
    EnergyRule(
        "with neurons",
        ("synapses", "neurons"),
        "accumulate-only + ANN: activation functions, softmax, norms;  SNN: elements * (N * (E_AC + E_MUL) + "
        "S * N * E_CMP) + spikes * 2 * E_AC;  both: whatever else computes",
        "the definition of the neuron, arXiv 2508.07710, every basis of which compares at every step",
    ),
    EnergyRule(
        "with routed neurons",
        ("synapses", "routed"),
        "as with neurons, but SNN: elements * (log2 N * E_CMP + E_AC + E_MUL + S * E_CMP) + spikes * 2 * E_AC "
        "for neurons of disjoint segments",
        "the kernels of this project, which find the segment of an element and run its basis alone",
    ),
    EnergyRule(
        "with memory",
        ("synapses", "routed", "memory"),
        "with routed neurons + words * E_access; words of products: 2 a MAC and 1 an output, or 3 a SOP (weight, sum "
        "read and written) and 1 a spike; of codes: 1 an element and 1 a spike; of all else: 1 in and 1 out an element",
        "after Lemaire et al. 2022 (arXiv 2210.13107): no reuse of what was read, sums of spikes kept in memory",
    ),
)
"""Rules in the order of reports."""


@dataclass(frozen=True)
class EnergyFigure:
    """Energy of both networks by one rule, in picojoules.

    Attributes:
        rule: the rule.
        original: energy of the original network.
        spiking: energy of the spiking network.
    """

    rule: EnergyRule
    original: float
    spiking: float

    @property
    def ratio(self) -> float:
        """Energy of the spiking network over that of the original; NaN where that spends none."""
        return self.spiking / self.original if self.original else float("nan")

    def to_json(self) -> dict[str, Any]:
        """The figure as JSON values, with the rule that it goes by."""
        return {
            **dataclasses.asdict(self.rule),
            "original_pj": self.original,
            "spiking_pj": self.spiking,
            "ratio": self.ratio if self.original else None,
        }


@dataclass(frozen=True)
class EnergyReport:
    """Work of every node, and what it costs.

    Attributes:
        nodes: the nodes of the spiking network that compute.
        costs: picojoules of each operation.
    """

    nodes: tuple[NodeWork, ...]
    costs: EnergyCosts = field(default_factory=EnergyCosts)

    def figures(self, nodes: Iterable[NodeWork] | None = None) -> tuple[EnergyFigure, ...]:
        """Energy by each rule of some `nodes`; of the whole network by default."""
        chosen = self.nodes if nodes is None else tuple(nodes)
        original = sum((node.original for node in chosen), Work())
        spiking = sum((node.spiking for node in chosen), Work())
        return tuple(
            EnergyFigure(rule, rule.energy(original, self.costs), rule.energy(spiking, self.costs)) for rule in RULES
        )

    def with_costs(self, costs: EnergyCosts) -> EnergyReport:
        """The same work at other costs."""
        return EnergyReport(self.nodes, costs)

    def to_json(self) -> dict[str, Any]:
        """Figures, costs and the operations of every node as JSON values."""
        return {
            "costs_pj": dataclasses.asdict(self.costs),
            "network": [figure.to_json() for figure in self.figures()],
            "nodes": [
                {
                    **dataclasses.asdict(node),
                    "energy_pj": {
                        figure.rule.name: {"original": figure.original, "spiking": figure.spiking}
                        for figure in self.figures([node])
                    },
                }
                for node in self.nodes
            ],
        }


def _counts(operations: Operations) -> tuple[int, ...]:
    return (
        operations.accumulate,
        operations.multiply,
        operations.multiply_accumulate,
        operations.comparison,
        operations.access,
    )

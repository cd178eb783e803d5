# SPDX-License-Identifier: Apache-2.0
"""Estimated energy of a spiking network and of its original, by several rules of counting.

Energy is estimated as the number of operations times the cost of each; nothing is measured. The estimate depends
mostly on which operations are counted, so several rules are reported side by side. Each rule counts the same kinds of
operations in both networks, and has a formula and a source. Users can set the costs (`EnergyCosts`).

The operations of a node fall into six parts:

    synapses   products of activations with weights or with activations. Original: multiply-accumulates (E_MAC).
               Spiking network: one accumulate (E_AC) for each synaptic operation. A product without coded operands
               costs the same in both networks.
    neurons    all other operations. Original: activation functions, softmax, normalizations. Spiking network: the
               neurons that replace these, and the codes, by the definition of the neuron: each basis subtracts the
               resting potential from the element, multiplies by the gain, compares with a threshold at every time
               step, and at each spike resets and adds to the output. Kept nodes (a residual sum, a mean) count equally
               in both networks.
    routed     as `neurons`, but a neuron whose segments are disjoint finds the segment of its element by bisection and
               evaluates that basis alone: all other bases are silent or saturated, and their sum is a constant.
    scaling    multiplications and additions of sums of synapses: Horner's rule where intensities do not halve, and the
               readout of several bases (`onnx_snn.neurons.sum_factors`). None in the original.
    memory     32-bit words read and written; see `RULES`.
    core       all of the above on a digital event-driven core with weights on the chip. Original: multiply-accumulates,
               activation functions and memory as in the other parts. Spiking network: synaptic events, spikes, and an
               update of every basis at every time step, each of which has its memory in its cost. What no neuron does
               counts as in the original.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnx_snn.errors import ConfigError


@dataclass(frozen=True)
class EnergyCosts:
    """Picojoules of one operation on 32-bit floating-point numbers.

    The defaults are for a 45 nm process at 0.9 V (M. Horowitz, "Computing's energy problem (and what we can do about
    it)", ISSCC 2014): addition 0.9, multiplication 3.7, access to 64 bits of an 8 KiB memory 10.

    Attributes:
        accumulate: one addition, E_AC.
        multiply: one multiplication, E_MUL.
        multiply_accumulate: one multiplication and one addition, E_MAC.
        comparison: one comparison with a threshold or bound, E_CMP; by default as an addition, which implements it.
        access: one 32-bit word read from or written to a memory next to the arithmetic, E_access.
        synaptic_event: one synaptic operation of a digital event-driven core, its memory included; by default that of
            Loihi in 14 nm (M. Davies et al., "Loihi: a neuromorphic manycore processor with on-chip learning", IEEE
            Micro 38(1), 2018, table 2), as are the next two.
        spike_event: one spike sent within a tile of such cores.
        neuron_update: one update of a neuron at a time step.

    Raises:
        ConfigError: a cost is not a number, is negative or is not finite.
    """

    accumulate: float = 0.9
    multiply: float = 3.7
    multiply_accumulate: float = 4.6
    comparison: float = 0.9
    access: float = 5.0
    synaptic_event: float = 23.6
    spike_event: float = 1.7
    neuron_update: float = 81.0

    def __post_init__(self) -> None:
        for name, cost in dataclasses.asdict(self).items():
            if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 <= cost < float("inf"):
                raise ConfigError(f"energy cost {name} is {cost!r}; expected picojoules, a finite number >= 0")

    @classmethod
    def from_json(cls, costs: Mapping[str, Any]) -> EnergyCosts:
        """Costs from a mapping of their names to picojoules; costs that are not in it have their defaults.

        Raises:
            ConfigError: a name is unknown, or a cost is not a finite number >= 0.
        """
        known = [entry.name for entry in dataclasses.fields(cls)]
        unknown = sorted(set(costs) - set(known))
        if unknown:
            raise ConfigError(f"unknown energy costs {unknown}; known are {known}")
        return cls(**costs)


@dataclass(frozen=True)
class Operations:
    """Numbers of operations, in fields of the same names as the costs in `EnergyCosts`."""

    accumulate: int = 0
    multiply: int = 0
    multiply_accumulate: int = 0
    comparison: int = 0
    access: int = 0
    synaptic_event: int = 0
    spike_event: int = 0
    neuron_update: int = 0

    def __add__(self, other: Operations) -> Operations:
        return Operations(*(a + b for a, b in zip(_counts(self), _counts(other), strict=True)))

    def __mul__(self, times: int) -> Operations:
        return Operations(*(times * count for count in _counts(self)))

    def energy(self, costs: EnergyCosts) -> float:
        """Energy in picojoules."""
        return float(sum(count * getattr(costs, name) for name, count in dataclasses.asdict(self).items()))


NOTHING = Operations()


@dataclass(frozen=True)
class Work:
    """Operations of a node in one of the two networks, by part.

    Attributes:
        synapses: multiply-accumulates, or accumulates caused by spikes.
        neurons: all other operations, every basis of a neuron evaluated.
        routed: all other operations, one basis evaluated for an element of a neuron with disjoint segments.
        memory: words read and written.
        scaling: operations on the sums of synapses of a product.
        core: operations on a digital event-driven core.
    """

    synapses: Operations = NOTHING
    neurons: Operations = NOTHING
    routed: Operations = NOTHING
    memory: Operations = NOTHING
    scaling: Operations = NOTHING
    core: Operations = NOTHING

    @classmethod
    def of_numbers(cls, *, synapses: Operations = NOTHING, others: Operations = NOTHING, access: int = 0) -> Work:
        """Work of a node on numbers, which no spikes do.

        Args:
            synapses: multiply-accumulates.
            others: all other operations.
            access: words read and written.
        """
        memory = Operations(access=access)
        return cls(synapses, others, others, memory, core=synapses + others + memory)

    def __add__(self, other: Work) -> Work:
        return Work(*(own + more for own, more in zip(self._parts(), other._parts(), strict=True)))

    def __mul__(self, times: int) -> Work:
        return Work(*(part * times for part in self._parts()))

    def _parts(self) -> tuple[Operations, ...]:
        return (self.synapses, self.neurons, self.routed, self.memory, self.scaling, self.core)


@dataclass(frozen=True)
class NodeWork:
    """Operations of one node in both networks, over all data.

    Attributes:
        node: name of the node in the spiking network.
        kind: op type, or the operation that a spiking node replaces.
        original: operations of the original network.
        spiking: operations of the spiking network.
    """

    node: str
    kind: str
    original: Work
    spiking: Work


@dataclass(frozen=True)
class EnergyRule:
    """A rule that says which operations count as energy.

    Attributes:
        name: name of the rule in reports.
        parts: names of the fields of `Work` that count.
        formula: formulas of the energy of the original (ANN) and of the spiking network (SNN).
        source: where the rule comes from.
    """

    name: str
    parts: tuple[str, ...]
    formula: str
    source: str

    def energy(self, work: Work, costs: EnergyCosts) -> float:
        """Energy of `work` by this rule, in picojoules."""
        return float(sum(getattr(work, part).energy(costs) for part in self.parts))


RULES = (
    EnergyRule(
        "accumulate-only",
        ("synapses",),
        "ANN: MACs * E_MAC;  SNN: SOPs * E_AC + MACs of matmuls without coded operands * E_MAC",
        "the rule of most papers on spiking networks, including arXiv 2508.07710; default costs: Horowitz 2014",
    ),
    EnergyRule(
        "with neurons",
        ("synapses", "neurons"),
        "accumulate-only + ANN: activation functions, softmax, norms;  SNN: elements * (N * (E_AC + E_MUL) + "
        "S * N * E_CMP) + spikes * 2 * E_AC;  both: all other operations",
        "the definition of the neuron in arXiv 2508.07710: every basis compares at every step",
    ),
    EnergyRule(
        "with routed neurons",
        ("synapses", "routed"),
        "as with neurons, but SNN: elements * (log2 N * E_CMP + E_AC + E_MUL + S * E_CMP) + spikes * 2 * E_AC "
        "for neurons with disjoint segments",
        "the kernels of this project, which find the segment of an element and evaluate its basis alone",
    ),
    EnergyRule(
        "with scaling",
        ("synapses", "routed", "scaling"),
        "with routed neurons + SNN: outputs of matmuls * (factors of their sums that are no shift * E_MUL + (N - 1) * "
        "E_AC): Horner's rule where steps do not halve, and the readout of N bases",
        "what a spike-by-spike execution of this project's products takes: onnx-snn replay",
    ),
    EnergyRule(
        "with memory",
        ("synapses", "routed", "memory"),
        "with routed neurons + words * E_access; words of a matmul: 2 per MAC and 1 per output, or 3 per SOP (weight "
        "read, sum read and written) and 1 per spike; of a code: 1 per element and 1 per spike; of any other node: 1 "
        "per element read and written",
        "after Lemaire et al. 2022 (arXiv 2210.13107): no reuse of words that were read, partial sums kept in memory",
    ),
    EnergyRule(
        "event-driven core",
        ("core",),
        "ANN: as with memory;  SNN: SOPs * E_synapse + spikes * E_spike + elements * S * N * E_update, and what is no "
        "neuron and no coded matmul as with memory",
        "energies of Loihi, whose weights are on the chip: Davies et al. 2018, IEEE Micro 38(1), table 2; the "
        "original's in 45 nm as in the other rules",
    ),
)
"""All rules, in the order in which reports list them."""


def _counts(operations: Operations) -> tuple[int, ...]:
    return (
        operations.accumulate,
        operations.multiply,
        operations.multiply_accumulate,
        operations.comparison,
        operations.access,
        operations.synaptic_event,
        operations.spike_event,
        operations.neuron_update,
    )

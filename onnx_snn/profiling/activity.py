# SPDX-License-Identifier: Apache-2.0
"""What spiking nodes did on some data: spikes of every neuron, and the operations that they caused at each product."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ProductKind(enum.Enum):
    """What the spikes of a product meet: WEIGHTS that are constant, or other ACTIVATIONS."""

    WEIGHTS = "weights"
    ACTIVATIONS = "activations"


@dataclass(frozen=True, eq=False)
class NeuronActivity:
    """Spikes of one neuron of one spiking node, over all data.

    Attributes:
        node: name of the spiking node.
        neuron: which of its neurons: "exp2" and "reciprocal" of a softmax, "deviation" and "rsqrt" of a
            normalization, "" where there is one.
        source: what the node stands for: "identity" for a code, else a function such as "gelu", or a rule's name.
        elements: numbers that went through it.
        spikes: int64 [S, N], how often each basis fired at each time step.
        gate: whether time step 0 holds the saturation spike, which silences a saturated basis after it.
        out_of_range: elements at or beyond the last level of an outermost basis, which larger ones share; None where
            spikes do not tell, because they do not add what they take. A side where every basis is silent has no end.
    """

    node: str
    neuron: str
    source: str
    elements: int
    spikes: NDArray[np.int64]
    gate: bool
    out_of_range: int | None

    @property
    def name(self) -> str:
        """Name of the node, and of the neuron where it has several."""
        return f"{self.node} {self.neuron}".rstrip()

    @property
    def kind(self) -> str:
        """What the neuron computes: the source of its node, and which neuron where there are several."""
        return f"{self.source} {self.neuron}".rstrip()

    @property
    def timesteps(self) -> int:
        """Time steps S, that of the saturation spike included."""
        return len(self.spikes)

    @property
    def bases(self) -> int:
        """Bases N."""
        return int(self.spikes.shape[1])

    @property
    def slots(self) -> int:
        """Pairs of time step and basis in which a spike can fall, for each element."""
        return self.timesteps * self.bases

    @property
    def total(self) -> int:
        """All spikes."""
        return int(self.spikes.sum())

    @property
    def spikes_per_element(self) -> float:
        """Fired slots of an element, on average."""
        return _share(self.total, self.elements)

    @property
    def firing_rate(self) -> float:
        """Share of the slots that fire."""
        return _share(self.total, self.elements * self.slots)

    @property
    def spikes_per_step(self) -> NDArray[np.int64]:
        """Spikes of each time step over all bases, int64 [S]."""
        return np.asarray(self.spikes.sum(axis=1), np.int64)

    @property
    def rates(self) -> NDArray[np.float64]:
        """Share of the elements that fire each basis at each time step, float64 [S, N]."""
        return self.spikes / max(self.elements, 1)

    @property
    def out_of_range_share(self) -> float | None:
        """Share of the elements that are out of range."""
        return None if self.out_of_range is None else _share(self.out_of_range, self.elements)

    def to_json(self) -> dict[str, Any]:
        """Counts and figures as JSON values."""
        return {
            **dataclasses.asdict(self),
            "spikes": self.spikes.tolist(),
            "slots": self.slots,
            "spikes_per_element": self.spikes_per_element,
            "firing_rate": self.firing_rate,
            "out_of_range_share": self.out_of_range_share,
        }


@dataclass(frozen=True)
class Operand:
    """A coded operand of a product, over all data.

    Attributes:
        neuron: name of the node whose spikes arrive.
        elements: numbers that were coded, once for each time that they were used.
        spikes: spikes that arrived.
        synaptic_operations: what they caused: spikes times outgoing synapses.
    """

    neuron: str
    elements: int
    spikes: int
    synaptic_operations: int


@dataclass(frozen=True)
class ProductActivity:
    """Operations of one product node, over all data.

    Attributes:
        node: its name.
        operator: its op type.
        kind: what spikes meet there.
        multiply_accumulates: products of two numbers that the original network computes there.
        operands: those that are coded; none where the product stays one of numbers.
    """

    node: str
    operator: str
    kind: ProductKind
    multiply_accumulates: int
    operands: tuple[Operand, ...]

    @property
    def spiking(self) -> bool:
        """Whether spikes take the place of multiplications."""
        return bool(self.operands)

    @property
    def synaptic_operations(self) -> int:
        """Accumulations that spikes cause."""
        return sum(operand.synaptic_operations for operand in self.operands)

    def to_json(self) -> dict[str, Any]:
        """Counts as JSON values."""
        return {
            **dataclasses.asdict(self),
            "kind": self.kind.value,
            "spiking": self.spiking,
            "synaptic_operations": self.synaptic_operations,
        }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

# SPDX-License-Identifier: Apache-2.0
"""Activity of a spiking network on data: spikes of every neuron, operations of every matrix product and convolution.

Below, a *product* is a node that multiplies and sums: MatMul, Gemm, Einsum, Conv and their variants.
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.metadata import IDENTITY
from onnx_snn.neurons.roles import NeuronRole


class ProductKind(enum.Enum):
    """What a product multiplies activations by: constant WEIGHTS, or other ACTIVATIONS."""

    WEIGHTS = "weights"
    ACTIVATIONS = "activations"


@dataclass(frozen=True, eq=False)
class NeuronActivity:
    """Spikes of one neuron of one spiking node, over all data.

    Attributes:
        node: name of the spiking node.
        neuron: name of the neuron within the node: "exp2" and "reciprocal" in a softmax, "deviation" and "rsqrt" in a
            normalization, "" where the node has a single neuron.
        source: operation that the node replaces: a function such as "gelu", a rule's name such as "softmax", or
            "identity" for a code.
        elements: number of scalars that the neuron was evaluated for.
        spikes: int64 [S, N], number of spikes of each basis (N) at each time step (S).
        gate: whether time step 0 holds the saturation spike, which silences a saturated basis afterwards.
        out_of_range: number of elements that saturate an outermost basis, that is, lie at or beyond its last level;
            None where spike counts cannot show it, because the neuron has no step sizes, or is a code that is silent
            beyond one end of its range. Of a function, a side does not count on which it is flat or every basis silent.
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
        """Name of the node, followed by that of the neuron if the node has several."""
        return f"{self.node} {self.neuron}".rstrip()

    @property
    def kind(self) -> str:
        """Operation that the node replaces, followed by the name of the neuron if the node has several."""
        return f"{self.source} {self.neuron}".rstrip()

    @property
    def is_code(self) -> bool:
        """Whether it is an identity code: of an operand, or of the deviations in a normalization."""
        return self.source == IDENTITY or self.neuron == NeuronRole.DEVIATION.value

    @property
    def timesteps(self) -> int:
        """Number of time steps S, that of the saturation spike included."""
        return len(self.spikes)

    @property
    def bases(self) -> int:
        """Number of bases N."""
        return int(self.spikes.shape[1])

    @property
    def slots(self) -> int:
        """Largest possible number of spikes of one element: S * N."""
        return self.timesteps * self.bases

    @property
    def total(self) -> int:
        """Number of spikes over all elements, bases and time steps."""
        return int(self.spikes.sum())

    @property
    def spikes_per_element(self) -> float:
        """Mean number of spikes of one element."""
        return _share(self.total, self.elements)

    @property
    def firing_rate(self) -> float:
        """Fraction of the slots that hold a spike, from 0 to 1."""
        return _share(self.total, self.elements * self.slots)

    @property
    def spikes_per_step(self) -> NDArray[np.int64]:
        """Number of spikes at each time step, summed over bases, int64 [S]."""
        return np.asarray(self.spikes.sum(axis=1), np.int64)

    @property
    def rates(self) -> NDArray[np.float64]:
        """Fraction of the elements for which each basis fires at each time step, float64 [S, N]."""
        return self.spikes / max(self.elements, 1)

    @property
    def out_of_range_share(self) -> float | None:
        """Fraction of the elements that are out of range; None where it is unknown."""
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
    """An operand of a product that arrives as spikes, over all data.

    Attributes:
        neuron: name of the spiking node that codes the operand.
        elements: number of elements of the operand.
        spikes: number of spikes of the operand.
        synaptic_operations: number of accumulations that the spikes cause: spikes times outgoing synapses.
    """

    neuron: str
    elements: int
    spikes: int
    synaptic_operations: int


@dataclass(frozen=True)
class ProductActivity:
    """Operations of one product node, over all data.

    Attributes:
        node: name of the product node.
        operator: op type of the product node.
        kind: whether it multiplies activations by weights or by other activations.
        multiply_accumulates: number of multiply-accumulates (MACs) of the node in the original network.
        operands: the operands that arrive as spikes; empty where the spiking network computes the node as the original
            does.
    """

    node: str
    operator: str
    kind: ProductKind
    multiply_accumulates: int
    operands: tuple[Operand, ...]

    @property
    def spiking(self) -> bool:
        """Whether accumulations by spikes replace the node's multiplications."""
        return bool(self.operands)

    @property
    def synaptic_operations(self) -> int:
        """Number of synaptic operations (SOPs): accumulations that spikes cause."""
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

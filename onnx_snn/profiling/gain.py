# SPDX-License-Identifier: Apache-2.0
"""What a conversion gains: spikes instead of multiply-accumulates, as a few figures for the end of a report."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from onnx_snn.data.specs import Feed
from onnx_snn.formatting import wrapped
from onnx_snn.graph.inlined import is_inlined
from onnx_snn.neurons.opset import DOMAIN
from onnx_snn.profiling.activity import ProductKind
from onnx_snn.profiling.energy import EnergyCosts
from onnx_snn.profiling.profiler import Profile, Profiler
from onnx_snn.runtime.session import session_options

NAMED, STRICTEST = "accumulate-only", "with memory"
"""Names of the rule that most papers use, and of the strictest one on the same processor."""


@dataclass(frozen=True)
class Gain:
    """Spikes and energy of a spiking network on data.

    Attributes:
        spikes: spikes of the operands of all weight matmuls.
        elements: elements of these operands.
        named: energy of the original and of the spiking network in picojoules by the rule that most papers use,
            accumulate-only.
        strictest: the same by the strictest rule on the same processor: with neurons and memory.
    """

    spikes: float
    elements: float
    named: tuple[float, float]
    strictest: tuple[float, float]

    @property
    def spikes_per_element(self) -> float:
        """Spikes per element of weight matmuls; NaN without such."""
        return self.spikes / self.elements if self.elements else math.nan

    @property
    def energy(self) -> float:
        """Energy of the spiking network over that of the original, accumulate-only; NaN where that is 0."""
        return _ratio(self.named)

    @property
    def strictest_energy(self) -> float:
        """The same by the strictest rule."""
        return _ratio(self.strictest)

    @classmethod
    def of(cls, profile: Profile) -> Gain:
        """The figures of a profile."""
        weighted = [product for product in profile.products if product.kind is ProductKind.WEIGHTS]
        operands = [operand for product in weighted for operand in product.operands]
        figures = {figure.rule.name: figure for figure in profile.energy.figures()}
        named, strictest = figures[NAMED], figures[STRICTEST]
        return cls(
            sum(operand.spikes for operand in operands),
            sum(operand.elements for operand in operands),
            (named.original, named.spiking),
            (strictest.original, strictest.spiking),
        )

    def joined(self, other: Gain) -> Gain:
        """The figures of two networks together."""
        named, strictest = (
            (mine[0] + its[0], mine[1] + its[1])
            for mine, its in ((self.named, other.named), (self.strictest, other.strictest))
        )
        return Gain(self.spikes + other.spikes, self.elements + other.elements, named, strictest)

    def text(self) -> str:
        """The figures in words."""
        parts = []
        if math.isfinite(self.spikes_per_element):
            parts.append(f"{self.spikes_per_element:.2f} spikes per element of weight matmuls")
        if math.isfinite(self.energy):
            parts.append(f"energy {self.energy:.0%} of the original's (accumulate-only)")
        if math.isfinite(self.strictest_energy):
            parts.append(f"{self.strictest_energy:.0%} with neurons and memory")
        return "; ".join(parts) or "no matmul spikes"


def measured_gain(network: ir.Model, feeds: Iterable[Feed], *, kernels: bool = True) -> Gain | None:
    """The gain of a converted network on `feeds`; the network is changed in place.

    Args:
        network: the network.
        feeds: its inputs.
        kernels: use the kernels where they are installed.

    Returns:
        The gain; None for a network with spiking nodes in branches, or inlined, whose spikes cannot be counted.

    Raises:
        CalibrationError: a run fails.
    """
    if is_inlined(network):
        return None
    if any(node.domain == DOMAIN and node.graph is not network.graph for node in network.graph.all_nodes()):
        return None
    profiler = Profiler(network, session_options(quiet=True, kernels=kernels), kernels=kernels)
    for feed in feeds:
        profiler.add(feed)
    return Gain.of(profiler.counts.profile("", EnergyCosts()))


def verdict(lost: str, gain: Gain | None, next_step: str) -> str:
    """The three lines that end a report: what was lost, what was gained, and what to do next.

    A fourth one warns of a network that needs more energy than its original.
    """
    lines = [
        ("lost", lost),
        ("gained", gain.text() if gain else "not counted here; onnx-snn profile counts spikes and energy"),
        ("next", next_step),
    ]
    if gain is not None and gain.energy > 1.0:
        lines.append(("warning", f"this network needs {gain.energy:.1f} times the energy of its original"))
    return "\n".join(wrapped(f"{label + ':':<8} {text}", indent=9 * " ") for label, text in lines)


def _ratio(energies: tuple[float, float]) -> float:
    original, spiking = energies
    return spiking / original if original else math.nan

# SPDX-License-Identifier: Apache-2.0
"""What stands in for each converted site: its neurons, and the codes of its operands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onnx_snn.neurons.mbe import UNSCALED, Float32, MbeNeuron
from onnx_snn.rules.site import Site


@dataclass(frozen=True, eq=False)
class Coding:
    """A neuron with the powers of two by which its input is scaled, [1] or broadcastable against it."""

    neuron: MbeNeuron
    scale: Float32 = field(default_factory=lambda: UNSCALED)


@dataclass(frozen=True, eq=False)
class SitePlan:
    """Neurons of one site.

    Attributes:
        site: the nodes that are converted.
        neurons: by input prefix of the spiking op that replaces the nodes (empty prefix: `MbeNeuron` itself);
            empty for products, whose native node stays.
        operands: for products and weight products, the identity code of each activation operand.
        spikes: fired slots per element on the calibration distribution, by the same keys ("operand 0", ...).
    """

    site: Site
    neurons: Mapping[str, Coding] = field(default_factory=dict)
    operands: tuple[Coding, ...] = ()
    spikes: Mapping[str, float] = field(default_factory=dict)

    def codings(self) -> dict[str, Coding]:
        """Every neuron of the site by a readable key."""
        operands = {f"operand {i}": coding for i, coding in enumerate(self.operands)}
        return {prefix.rstrip("_") or "function": coding for prefix, coding in self.neurons.items()} | operands

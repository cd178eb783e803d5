# SPDX-License-Identifier: Apache-2.0
"""The plan of a conversion: the neurons that replace each site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from onnx_snn.arrays import Float32
from onnx_snn.fitting.shannon_bound import least_spikes
from onnx_snn.fitting.signal import Signal
from onnx_snn.neurons.mbe import UNSCALED, MbeNeuron
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import Site


@dataclass(frozen=True, eq=False)
class Coding:
    """A fitted neuron with its channel scales.

    Attributes:
        neuron: the neuron.
        scale: channel scales float32, powers of two that divide its input; [1] or broadcastable against the input.
        spikes: mean spikes per element on the calibration distribution.
        signal: that distribution; None where the neuron is no identity code.
    """

    neuron: MbeNeuron
    scale: Float32 = field(default_factory=lambda: UNSCALED)
    spikes: float = 0.0
    signal: Signal | None = field(default=None, repr=False)

    @cached_property
    def least_bits(self) -> float | None:
        """Bits for each element that any code of the same error must carry; None where it is no identity code."""
        return None if self.signal is None else self.signal.least_bits(self.neuron)

    @property
    def least_spikes(self) -> float | None:
        """Mean spikes per element that any code of the same error and slots must fire; None where it is no code."""
        return None if self.least_bits is None else least_spikes(self.least_bits, self.neuron.slots)


@dataclass(frozen=True, eq=False)
class SitePlan:
    """The neurons of one site.

    Attributes:
        site: the site.
        neurons: neuron of each role, in the order of the site's roles; empty in a dry run.
    """

    site: Site
    neurons: Mapping[NeuronRole, Coding] = field(default_factory=dict)

# SPDX-License-Identifier: Apache-2.0
"""The plan of a conversion: the neurons that replace each site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onnx_snn.arrays import Float32
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
    """

    neuron: MbeNeuron
    scale: Float32 = field(default_factory=lambda: UNSCALED)
    spikes: float = 0.0


@dataclass(frozen=True, eq=False)
class SitePlan:
    """The neurons of one site.

    Attributes:
        site: the site.
        neurons: neuron of each role, in the order of the site's roles; empty in a dry run.
    """

    site: Site
    neurons: Mapping[NeuronRole, Coding] = field(default_factory=dict)

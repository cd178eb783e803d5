# SPDX-License-Identifier: Apache-2.0
"""What stands in for each converted site: its neurons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onnx_snn.neurons.mbe import UNSCALED, Float32, MbeNeuron
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import Site


@dataclass(frozen=True, eq=False)
class Coding:
    """A fitted neuron.

    Attributes:
        neuron: its parameters.
        scale: powers of two by which its input is scaled, [1] or broadcastable against it.
        spikes: fired slots per element on the calibration distribution.
    """

    neuron: MbeNeuron
    scale: Float32 = field(default_factory=lambda: UNSCALED)
    spikes: float = 0.0


@dataclass(frozen=True, eq=False)
class SitePlan:
    """The neurons of one site.

    Attributes:
        site: the nodes that are converted.
        neurons: in the order of the site's roles; none where they are not fitted.
    """

    site: Site
    neurons: Mapping[NeuronRole, Coding] = field(default_factory=dict)

# SPDX-License-Identifier: Apache-2.0
"""The gain of a choice of neurons by their calibrated spikes, without a run of the network."""

from __future__ import annotations

import math
from collections.abc import Sequence

from onnx_snn.allocation.candidates import Candidate
from onnx_snn.allocation.cost_model import COSTS, ProductWork
from onnx_snn.allocation.knobs import Knob
from onnx_snn.profiling.gain import Gain
from onnx_snn.rules.site import Kind


def expected_gain(knobs: Sequence[Knob], choice: Sequence[Candidate], products: ProductWork) -> Gain:
    """Spikes of weight matmuls and accumulate-only energy of one sample, with the candidates `choice` for `knobs`.

    The energy by stricter rules is NaN, as it takes a run.
    """
    spikes = elements = synaptic = 0.0
    for knob, chosen in zip(knobs, choice, strict=True):
        load = knob.load
        readers = sum(site.kind is Kind.SYNAPSE for site, _ in knob.members)
        spikes += readers * load.elements * chosen.spikes
        elements += readers * load.elements
        if load.synaptic:
            synaptic += load.elements * load.fan_out * chosen.spikes
    original = products.original * COSTS.multiply_accumulate
    return Gain(spikes, elements, (original, original * products.energy(synaptic)), (math.nan, math.nan))

# SPDX-License-Identifier: Apache-2.0
"""The bases of a neuron as ramps over the input: where each begins and ends, and which ones lie outermost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.neurons.mbe import MbeNeuron


class Outermost(NamedTuple):
    """Bases whose saturation means that the input lies beyond all ramps; None on a side where all fall silent."""

    lowest: int | None
    highest: int | None


def outermost(neuron: MbeNeuron) -> Outermost:
    """The outermost bases of a `neuron` with sizes: a falling one at the low end, a rising one at the high end."""
    starts, ends = _bounds(neuron)
    lowest, highest = int(starts.argmin()), int(ends.argmax())
    return Outermost(
        lowest if neuron.gain[lowest] < 0 else None,
        highest if neuron.gain[highest] > 0 else None,
    )


def disjoint(neuron: MbeNeuron) -> bool:
    """Whether at any input all bases but one are silent or saturated."""
    if neuron.halving is None:
        return False
    starts, ends = _bounds(neuron)
    order = np.argsort(starts)
    return bool((starts[order][1:] > ends[order][:-1]).all())


def _bounds(neuron: MbeNeuron) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inputs of the lowest and the highest change of each basis, float64 [N]."""
    assert neuron.sizes is not None, "callers have seen to it"
    u_rest, gain = neuron.u_rest.astype(np.float64), neuron.gain.astype(np.float64)
    first = u_rest + neuron.sizes.steps.min(axis=0) / gain
    last = u_rest + neuron.sizes.steps.sum(axis=0) / gain
    return np.minimum(first, last), np.maximum(first, last)

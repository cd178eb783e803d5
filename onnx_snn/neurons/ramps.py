# SPDX-License-Identifier: Apache-2.0
"""The bases of a neuron as ramps over the input: their bounds, and the outermost ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.neurons.mbe import MbeNeuron


class Outermost(NamedTuple):
    """Indices of the bases that saturate when the input is beyond all ramps.

    Attributes:
        lowest: the basis at the low end; None where all bases are silent there.
        highest: the basis at the high end; None where all bases are silent there.
    """

    lowest: int | None
    highest: int | None


def outermost(neuron: MbeNeuron) -> Outermost:
    """The outermost bases of a `neuron` with step sizes: a falling one at the low end, a rising one at the high end."""
    starts, ends = _bounds(neuron)
    lowest, highest = int(starts.argmin()), int(ends.argmax())
    return Outermost(
        lowest if neuron.gain[lowest] < 0 else None,
        highest if neuron.gain[highest] > 0 else None,
    )


class Ends(NamedTuple):
    """Ends of the range that a neuron resolves: beyond them its output stays what it is there.

    Attributes:
        lowest: one level below the first argument at which the output changes.
        highest: one level above the last argument at which the output changes.
    """

    lowest: float
    highest: float


def resolved_ends(neuron: MbeNeuron) -> Ends:
    """Ends of the arguments that the levels of a `neuron` with step sizes resolve.

    An odd neuron sees magnitudes, so that its ends mirror each other. The outermost level takes as much of the
    arguments as another one: the range ends one level beyond the last change of the output.
    """
    assert neuron.sizes is not None, "callers check it"
    starts, ends = _bounds(neuron)
    width = neuron.sizes.steps.astype(np.float64).min(axis=0) / np.abs(neuron.gain.astype(np.float64))
    first, last = int(starts.argmin()), int(ends.argmax())
    highest = float(ends[last] + width[last])
    return Ends(-highest if neuron.polarity else float(starts[first] - width[first]), highest)


def is_silent_beyond_an_end(neuron: MbeNeuron) -> bool:
    """Whether all bases of a code with step sizes are silent beyond one end of its range.

    A code of values that are not negative, whose output does not change below 0, has no range there.
    """
    lowest, highest = outermost(neuron)
    starts, _ = _bounds(neuron)
    return highest is None or (lowest is None and float(starts.min()) < 0.0)


def disjoint(neuron: MbeNeuron) -> bool:
    """Whether for every input all bases but one are silent or saturated; False for kernels that are not halving."""
    if neuron.halving is None:
        return False
    starts, ends = _bounds(neuron)
    order = np.argsort(starts)
    return bool((starts[order][1:] > ends[order][:-1]).all())


def _bounds(neuron: MbeNeuron) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inputs at which the output of each basis changes first and last, float64 [N] each."""
    assert neuron.sizes is not None, "callers check it"
    u_rest, gain = neuron.u_rest.astype(np.float64), neuron.gain.astype(np.float64)
    first = u_rest + neuron.sizes.steps.min(axis=0) / gain
    last = u_rest + neuron.sizes.steps.sum(axis=0) / gain
    return np.minimum(first, last), np.maximum(first, last)

# SPDX-License-Identifier: Apache-2.0
"""Multiplications of sums of synapses that are no shifts, where a product is made spike by spike.

A product of a coded operand with weights has one sum a basis, which follows in time by Horner's rule: its factors are
the ratios of consecutive intensities, and at the end weight * intensity. A product of two coded operands scales what
the spikes of one basis at one time step add by weight * intensity. A factor that is a power of two is a shift.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from onnx_snn.neurons.mbe import MbeNeuron


def factors_of_product(codes: Sequence[MbeNeuron]) -> int:
    """Number of factors for each output of a product whose operands have these `codes`: one or two."""
    return factors_of_activations(*codes) if len(codes) > 1 else sum(map(factors_with_weights, codes))


def factors_with_weights(neuron: MbeNeuron) -> int:
    """Number of factors for each output of a product with weights: of Horner's rule, and of the readout."""
    count = 0
    for basis, weight in enumerate(neuron.weight.tolist()):
        intensities = [each for each in neuron.intensity[:, basis].tolist() if each]
        ratios = [before / after for before, after in itertools.pairwise(intensities)]
        count += sum(not _is_shift(factor) for factor in [*ratios, weight * intensities[-1]]) if intensities else 0
    return count


def factors_of_activations(first: MbeNeuron, second: MbeNeuron) -> int:
    """Number of factors for each output of a product of two coded operands: increments that are no power of two."""
    increments = [(each.weight * each.intensity).ravel().tolist() for each in (first, second)]
    return sum(not _is_shift(increment) for each in increments for increment in each)


def _is_shift(factor: float) -> bool:
    """Whether `factor` is 0 or a power of two, but for its sign."""
    return factor == 0.0 or abs(math.frexp(factor)[0]) == 0.5

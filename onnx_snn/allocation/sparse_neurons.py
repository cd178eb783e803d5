# SPDX-License-Identifier: Apache-2.0
"""Sparse neurons: the most exact ones within an allowance of spikes, or the sparsest within an allowance of error."""

from __future__ import annotations

import dataclasses

from onnx_snn.allocation.neuron_fits import NeuronFits
from onnx_snn.calibration.observations import CodedTensor
from onnx_snn.config.allowances import Allowance
from onnx_snn.config.neuron_settings import NeuronSettings
from onnx_snn.fitting.binary_codes import within_allowance
from onnx_snn.fitting.ratings import mean_spikes, relative_error
from onnx_snn.neurons import functions
from onnx_snn.neurons.mbe import MbeNeuron

FUNCTION_SHAPES = ((16, 0), (16, 1), (16, 2), (12, 2), (10, 2), (8, 2), (8, 3))
"""Neurons that are tried for a function, from the most exact to the sparsest, as pairs of the number of bases N and the
number of time steps below the configured T. Sixteen bases with six steps are as exact as eight bases with eight steps,
and fire less."""

CODE_BASES = (6, 8, 12, 16, 32)
"""Numbers of bases of the identity codes that are tried in turn where no binary code is within the allowance."""


def sparse_function(
    fits: NeuronFits, name: str, argument: str, allowance: Allowance, settings: NeuronSettings
) -> MbeNeuron:
    """The most exact neuron of a function of `argument` within `allowance`, or the sparsest that errs within it."""
    points, counts = fits.arguments(name, argument)
    exact, chosen = functions.get(name).formula(points), None
    for bases, fewer in FUNCTION_SHAPES:
        shorter = dataclasses.replace(settings, timesteps=max(settings.timesteps - fewer, 1))
        neuron = fits.function(name, argument, bases, shorter)
        if chosen is not None and relative_error(neuron(points), exact, counts) > allowance.error:
            break
        chosen = neuron
        if mean_spikes(neuron, points, counts) <= allowance.spikes:
            break
    assert chosen is not None, "the first neuron is always chosen"
    return chosen


def sparse_code(fits: NeuronFits, tensor: CodedTensor, allowance: Allowance, settings: NeuronSettings) -> MbeNeuron:
    """The most exact binary code within `allowance`, else the code of fewest bases whose error is within it."""
    code = within_allowance(fits.binary_codes(tensor, settings), allowance)
    if code is not None:
        return code.neuron(one_sided=tensor.probabilities, gate=settings.gate)
    signal = fits.signals.signal(tensor)
    for bases in CODE_BASES:
        neuron = fits.code(tensor, bases, settings)
        if relative_error(neuron(signal.points), signal.points, signal.weights) <= allowance.error:
            break
    return neuron

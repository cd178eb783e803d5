# SPDX-License-Identifier: Apache-2.0
"""Sparse neurons: the most exact of those that fire no more than allowed, or the sparsest of those that err no more."""

from __future__ import annotations

import dataclasses

from onnx_snn.calibration.observations import CodedTensor
from onnx_snn.config.convert_config import Allowance
from onnx_snn.config.neuron_settings import NeuronSettings
from onnx_snn.conversion.neuron_fits import NeuronFits
from onnx_snn.fitting.binary_codes import within_allowance
from onnx_snn.fitting.judgement import mean_spikes, relative_error
from onnx_snn.neurons import functions
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.rules.site import FunctionSite

FUNCTIONS = ((16, 0), (16, 1), (16, 2), (12, 2), (10, 2), (8, 2), (8, 3))
"""Bases, and time steps below the slowest neuron's, of the neurons that a function may be, from the most exact to
the one that fires least: of 16 bases six bits are as good as eight bits of eight, and fire less."""

CODES = (6, 8, 12, 16, 32)
"""Segments of the codes that are tried where the few of a binary code do not suffice."""


def sparse_function(fits: NeuronFits, site: FunctionSite, allowance: Allowance, settings: NeuronSettings) -> MbeNeuron:
    """The most exact neuron of a function within `allowance`."""
    points, counts = fits.arguments(site)
    exact, chosen = functions.get(site.function).formula(points), None
    for bases, fewer in FUNCTIONS:
        shorter = dataclasses.replace(settings, timesteps=max(settings.timesteps - fewer, 1))
        neuron = fits.function(site, bases, shorter)
        if chosen is not None and relative_error(neuron(points), exact, counts) > allowance.error:
            break
        chosen = neuron
        if mean_spikes(neuron, points, counts) <= allowance.spikes:
            break
    assert chosen is not None, "there is a first neuron"
    return chosen


def sparse_code(fits: NeuronFits, tensor: CodedTensor, allowance: Allowance, settings: NeuronSettings) -> MbeNeuron:
    """The most exact code within `allowance`: one of few segments, or the first one of many that will do."""
    code = within_allowance(fits.binary_codes(tensor, settings), allowance)
    if code is not None:
        return code.neuron(one_sided=tensor.probabilities, gate=settings.gate)
    signal = fits.signals.signal(tensor)
    for bases in CODES:
        neuron = fits.code(tensor, bases, settings)
        if relative_error(neuron(signal.points), signal.points, signal.weights) <= allowance.error:
            break
    return neuron

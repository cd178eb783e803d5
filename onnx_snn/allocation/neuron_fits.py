# SPDX-License-Identifier: Apache-2.0
"""Neurons with a given number of bases, fitted to calibrated distributions. Each is fitted once.

The neurons inside softmax and the normalizations take mantissas, whose range is known, and are the same everywhere.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.allocation.calibrated_signals import CalibratedSignals, widened
from onnx_snn.allocation.plan import Coding
from onnx_snn.calibration.observations import CodedTensor
from onnx_snn.config.convert_config import Preset
from onnx_snn.config.neuron_settings import NeuronSettings
from onnx_snn.fitting.binary_codes import RatedBinaryCode
from onnx_snn.fitting.density import Density, calibrated_density, density_up_to, mirrored, uniform_density
from onnx_snn.fitting.function_fit import fit_function
from onnx_snn.fitting.identity_code import fit_identity
from onnx_snn.fitting.paper_neuron import fit_paper
from onnx_snn.fitting.ratings import mean_spikes
from onnx_snn.neurons import functions
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import MbeNeuron


class NeuronFits:
    """Fits neurons to the distributions of one calibration; equal arguments return the same neuron.

    Args:
        signals: distributions of the tensors.
    """

    def __init__(self, signals: CalibratedSignals) -> None:
        self.signals = signals
        self._functions: dict[tuple[str, str, int, NeuronSettings], MbeNeuron] = {}
        self._codes: dict[tuple[CodedTensor, int, NeuronSettings], MbeNeuron] = {}
        self._binary_codes: dict[tuple[CodedTensor, NeuronSettings], list[RatedBinaryCode]] = {}

    def function(self, name: str, argument: str, bases: int, settings: NeuronSettings) -> MbeNeuron:
        """The neuron of the function `name` of the tensor `argument` with N = `bases`."""
        key = name, argument, bases, settings
        if key not in self._functions:
            function = functions.get(name)
            if function.fixed_domain:
                return primitive(name, bases, settings, self.signals.preset).neuron
            density = self._density(function, argument, settings.headroom)
            self._functions[key] = _fitted(function, bases, settings, self.signals.preset, density)
        return self._functions[key]

    def arguments(self, name: str, argument: str) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """What a neuron of the function `name` sees of the tensor `argument`: values [M] and their counts [M]."""
        function, histogram = functions.get(name), self.signals.histogram(argument)
        points, counts = histogram.points(), histogram.counts()
        if function.reduced is None:
            return points, counts
        reduced = function.reduced(points)
        distinct, indices = np.unique(reduced[~np.isnan(reduced)], return_inverse=True)
        if distinct.size == 0:
            return np.array([function.origin]), np.ones(1, np.int64)
        return distinct, np.bincount(indices, weights=counts[~np.isnan(reduced)]).astype(np.int64)

    def _density(self, function: ScalarFunction, argument: str, headroom: float) -> Density:
        """Density of the arguments of a neuron of `function`; of a reduced argument, over the whole domain."""
        if function.reduced is None:
            ends = widened(function, self.signals.histogram(argument), headroom)
        else:
            ends = function.domain
        return calibrated_density(*self.arguments(function.name, argument), *ends)

    def code(self, tensor: CodedTensor, bases: int, settings: NeuronSettings) -> MbeNeuron:
        """The identity code of a tensor with N = `bases` and the least mean squared error."""
        key = tensor, bases, settings
        if key not in self._codes:
            self._codes[key] = self._fitted_code(tensor, bases, settings)
        return self._codes[key]

    def _fitted_code(self, tensor: CodedTensor, bases: int, settings: NeuronSettings) -> MbeNeuron:
        signal, limit = self.signals.signal(tensor), self.signals.limit(tensor, settings.headroom)
        density = density_up_to(limit, signal.points, signal.weights)
        timesteps, one_sided = settings.timesteps, tensor.probabilities
        if self.signals.preset is Preset.PAPER:
            signed, lowest = (density, 0.0) if one_sided else (mirrored(density), -limit)
            return fit_paper(functions.get("identity"), bases, timesteps, calibrated_density(*signed, lowest, limit))
        return fit_identity(density, bases, timesteps, limit=limit, one_sided=one_sided, gate=settings.gate)

    def binary_codes(self, tensor: CodedTensor, settings: NeuronSettings) -> list[RatedBinaryCode]:
        """The Pareto front of the binary codes of a tensor, from the fewest spikes to the smallest error."""
        key = tensor, settings
        if key not in self._binary_codes:
            limit = self.signals.limit(tensor, settings.headroom)
            self._binary_codes[key] = self.signals.signal(tensor).binary_codes(limit, settings)
        return self._binary_codes[key]


@cache
def primitive(name: str, bases: int, settings: NeuronSettings, preset: Preset) -> Coding:
    """The neuron of 2^x, 1/x or 1/sqrt(x) with N = `bases`; its arguments are mantissas, taken as uniform."""
    function = functions.get(name)
    density = uniform_density(*function.domain)
    neuron = _fitted(function, bases, settings, preset, density)
    return Coding(neuron, spikes=mean_spikes(neuron, density.points, np.ones(density.points.size, np.int64)))


def _fitted(
    function: ScalarFunction, bases: int, settings: NeuronSettings, preset: Preset, density: Density
) -> MbeNeuron:
    """The neuron of `function` by the method of `preset`."""
    if preset is Preset.PAPER:
        return fit_paper(function, bases, settings.timesteps, density)
    return fit_function(function, bases, settings.timesteps, density, gate=settings.gate)

# SPDX-License-Identifier: Apache-2.0
"""Neurons with a given number of bases, fitted to calibrated distributions. Each is fitted once.

The neurons inside softmax and the normalizations take mantissas, whose range is known, and are the same everywhere.
"""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_snn.allocation.calibrated_signals import CalibratedSignals, Refusal, widened
from onnx_snn.allocation.plan import Coding
from onnx_snn.arrays import Float64
from onnx_snn.calibration.observations import CodedTensor
from onnx_snn.calibration.signed_histogram import SignedHistogram
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

LARGEST_VALUE = 2.0**120
"""Largest magnitude of the values of a function that a neuron represents: float32 ends at 2**128, and a neuron adds up
what all of its bases contribute."""

MOST_GROWTH = 8.0
"""Largest magnitude of a function in the headroom of its arguments, relative to the largest one in their calibrated
range: more than functions of linear growth have there, also where that begins within the range."""

MOST_SPREAD = 2.0**20
"""Largest ratio of the largest value of a fast-growing function to the median of its calibrated values. The errors of a
neuron are some 1e-4 of the largest value."""

SHARES_OF_HEADROOM = (0.5, 0.25, 0.125, 0.0625)
"""Exponents of the headroom that are tried for a function that grows faster."""

PLAIN_EXPONENTS = range(-40, 41)
"""Binary exponents of the largest value of a function that is fitted as it is. Others are scaled by a power of two, so
that squared errors stay within float32."""


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
            density = self.density(name, argument, settings)
            self._functions[key] = _fitted(function, bases, settings, self.signals.preset, density)
        return self._functions[key]

    def density(self, name: str, argument: str, settings: NeuronSettings) -> Density:
        """The arguments to which the function `name` of the tensor `argument` is fitted.

        Their range has as much headroom, up to that of `settings`, as keeps the function below `MOST_GROWTH` times its
        largest calibrated value. A fit has absolute errors, and those of an exponential would drown what occurs.

        Raises:
            Refusal: calibration saw no finite argument, or one at which the function is too large; or the function
                grows so fast that most of its calibrated values would vanish in the errors.
        """
        function, histogram = functions.get(name), self.signals.histogram(argument)
        arguments = self.arguments(name, argument)

        def within(headroom: float) -> tuple[Density, Float64]:
            ends = widened(function, histogram, headroom) if function.reduced is None else function.domain
            density = calibrated_density(*arguments, *ends)
            return density, np.abs(_values(function, density))

        plain, values = within(1.0)
        beyond = ~(values <= LARGEST_VALUE)
        if beyond.any():
            value, point = values[beyond][0], plain.points[beyond][0]
            raise Refusal(
                f"its function {name!r} has the magnitude {value:g} at {point:g}, in the range that calibration saw; "
                f"neurons represent at most {LARGEST_VALUE:.0e}"
            )
        largest = float(values.max())
        bound = min(MOST_GROWTH * largest, LARGEST_VALUE)
        widest, values = within(settings.headroom)
        if (values <= bound).all():
            return widest
        _require_narrow(function, histogram, largest)
        for share in SHARES_OF_HEADROOM:
            widest, values = within(settings.headroom**share)
            if (values <= bound).all():
                return widest
        return plain

    def arguments(self, name: str, argument: str) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """What a neuron of the function `name` sees of the tensor `argument`: values [M] and their counts [M]."""
        function = functions.get(name)
        histogram = self.signals.histogram(argument, bounded=function.reduced is None)
        points, counts = histogram.points(), histogram.counts()
        if function.reduced is None:
            return points, counts
        reduced = function.reduced(points)
        distinct, indices = np.unique(reduced[~np.isnan(reduced)], return_inverse=True)
        if distinct.size == 0:
            return np.array([function.origin]), np.ones(1, np.int64)
        return distinct, np.bincount(indices, weights=counts[~np.isnan(reduced)]).astype(np.int64)

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
    exponent = math.frexp(float(np.abs(_values(function, density)).max()))[1]
    if exponent not in PLAIN_EXPONENTS:
        return _scaled(_fitted(_divided(function, exponent), bases, settings, preset, density), exponent)
    if preset is Preset.PAPER:
        return fit_paper(function, bases, settings.timesteps, density)
    return fit_function(function, bases, settings.timesteps, density, gate=settings.gate)


def _values(function: ScalarFunction, density: Density) -> Float64:
    """Values of `function` at the points of `density`, float64 [M]."""
    with np.errstate(all="ignore"):
        return np.asarray(function.formula(density.points), np.float64)


def _divided(function: ScalarFunction, exponent: int) -> ScalarFunction:
    """`function` divided by 2**exponent."""
    return dataclasses.replace(function, formula=lambda x: np.ldexp(function.formula(x), -exponent))


def _scaled(neuron: MbeNeuron, exponent: int) -> MbeNeuron:
    """`neuron` with an output of 2**exponent times its own, which is exact."""
    weight, bias = np.ldexp(neuron.weight, exponent), np.ldexp(neuron.bias, exponent)
    return dataclasses.replace(neuron, weight=weight, bias=bias)


def _require_narrow(function: ScalarFunction, histogram: SignedHistogram, largest: float) -> None:
    """Raise `Refusal` where most values of a fast-growing function are tiny beside `largest`, its largest one."""
    with np.errstate(all="ignore"):
        magnitudes = np.abs(function.formula(histogram.points()))
    order = np.argsort(magnitudes)
    shares = np.cumsum(histogram.counts()[order]) / histogram.count
    median = float(magnitudes[order][np.searchsorted(shares, 0.5)])
    if largest > MOST_SPREAD * median:
        raise Refusal(
            f"its function {function.name!r} grows to {largest:.1e}, and half of its values are below {median:.1e}: "
            "they would vanish in the errors of a neuron, which are absolute"
        )

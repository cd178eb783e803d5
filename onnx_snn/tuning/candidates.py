# SPDX-License-Identifier: Apache-2.0
"""What one neuron can be: neurons of other numbers of bases and time steps, other ranges and other kinds of codes.

All are fitted to the same calibration, and judged there by the spikes that they fire and the error that they make.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnx_snn.calibration.observations import CodedTensor, coded_tensors
from onnx_snn.config.neuron_settings import BinaryCode, FittedBases, NeuronSettings
from onnx_snn.conversion.fit_sites import Fitter
from onnx_snn.conversion.plan import Coding
from onnx_snn.fitting.pareto import pareto_front
from onnx_snn.neurons import functions
from onnx_snn.neurons.opset import Body
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import FunctionSite, Site

Float64 = NDArray[np.float64]

NARROW_HEADROOM = 2.0
"""A second headroom that is tried: half the usual range over the largest calibrated magnitude."""

FUNCTION_BASES = (2, 4, 6, 8, 12, 16)
"""Numbers of segments of a function that are tried; those of codes go with their kind."""

FUNCTION_TIMESTEPS = 8
"""Most time steps of a function that are tried: with more bits its segments decide the error."""

MANTISSAS = 4096
"""Points at which the neurons of 2^x, 1/x and 1/sqrt(x) are judged, whose arguments lie anywhere in their range."""


@dataclass(frozen=True)
class Candidate:
    """One neuron that a knob can be.

    Attributes:
        settings: what a configuration asks for to get it.
        coding: the neuron itself.
        error: mean squared error on the calibration distribution, relative to the signal.
    """

    settings: NeuronSettings
    coding: Coding
    error: float

    @property
    def spikes(self) -> float:
        """Fired slots per element on the calibration distribution."""
        return self.coding.spikes


class Arguments(NamedTuple):
    """What a neuron is judged on: float64 [M] each.

    Attributes:
        points: arguments.
        exact: what it should answer there.
        weights: how much a squared error counts.
    """

    points: Float64
    exact: Float64
    weights: Float64


@dataclass(frozen=True)
class NeuronFamily(abc.ABC):
    """All that one neuron can be."""

    fitter: Fitter

    @abc.abstractmethod
    def coding(self, settings: NeuronSettings) -> Coding:
        """The neuron with `settings`."""

    @abc.abstractmethod
    def arguments(self) -> Arguments:
        """What it is judged on."""

    def settings(self, timesteps: Sequence[int]) -> list[NeuronSettings]:
        """The settings that are tried, of the numbers of `timesteps`: those of a function, unless said otherwise."""
        config = self.fitter.config
        steps = [count for count in timesteps if count <= FUNCTION_TIMESTEPS] or timesteps[:1]
        shapes = [FittedBases(bases) for bases in FUNCTION_BASES]
        return [NeuronSettings(count, config.gate, config.headroom, shape) for count in steps for shape in shapes]

    def candidate(self, settings: NeuronSettings) -> Candidate:
        """The neuron with `settings`, judged."""
        coding, (points, exact, weights) = self.coding(settings), self.arguments()
        power = float(np.average(exact**2, weights=weights))
        error = float(np.average((coding.neuron(points) - exact) ** 2, weights=weights))
        return Candidate(settings, coding, error / power if power else 0.0)

    def worthwhile(self, timesteps: Sequence[int]) -> list[Candidate]:
        """What is tried and bettered by nothing, from the cheapest to the most exact."""
        return worthwhile(map(self.candidate, self.settings(timesteps)))


@dataclass(frozen=True)
class FunctionFamily(NeuronFamily):
    """Neurons of the function of `site`."""

    site: FunctionSite

    def coding(self, settings: NeuronSettings) -> Coding:
        """The neuron of the function."""
        return self.fitter.function(self.site, settings)

    def arguments(self) -> Arguments:
        """What calibration saw."""
        points, counts = self.fitter.fits.arguments(self.site)
        return Arguments(points, functions.get(self.site.function).formula(points), counts.astype(np.float64))


@dataclass(frozen=True)
class PrimitiveFamily(NeuronFamily):
    """Neurons of 2^x, 1/x or 1/sqrt(x)."""

    role: NeuronRole

    def coding(self, settings: NeuronSettings) -> Coding:
        """The neuron of the primitive."""
        return self.fitter.primitive(self.role, settings)

    def arguments(self) -> Arguments:
        """Mantissas, whose relative errors count."""
        function = functions.get(self.role.value)
        points = np.linspace(*function.domain, MANTISSAS)
        exact = function.formula(points)
        return Arguments(points, exact, 1.0 / exact**2)


@dataclass(frozen=True)
class CodeFamily(NeuronFamily):
    """Identity codes of `tensor`."""

    tensor: CodedTensor

    def coding(self, settings: NeuronSettings) -> Coding:
        """The code of the tensor."""
        return self.fitter.code(self.tensor, settings)

    def arguments(self) -> Arguments:
        """What calibration saw, after channel scaling."""
        signal = self.fitter.fits.signals.signal(self.tensor)
        return Arguments(signal.points, signal.points, signal.weights)

    def settings(self, timesteps: Sequence[int]) -> list[NeuronSettings]:
        """Those of the codes that none of another number of steps or another range betters; others are not built."""
        gate, headroom = self.fitter.config.gate, self.fitter.config.headroom
        narrow = not self.tensor.probabilities and headroom > NARROW_HEADROOM
        ranges = (headroom, NARROW_HEADROOM) if narrow else (headroom,)
        tried = [NeuronSettings(count, gate, range_) for range_ in ranges for count in timesteps]
        judged = [code for settings in tried for code in self._judged(settings)]
        return [
            settings for _, _, settings in pareto_front(judged, cost=lambda code: code[:2], error=lambda code: code[1])
        ]

    def _judged(self, settings: NeuronSettings) -> Iterator[tuple[float, float, NeuronSettings]]:
        """Spikes, error and settings of the codes that have the time steps and the range of `settings`."""
        signals = self.fitter.fits.signals
        signal, limit = signals.signal(self.tensor), signals.limit(self.tensor, settings.headroom)
        for binary in signal.binary_codes(limit, settings):
            shape = BinaryCode(binary.octaves)
            yield binary.spikes, binary.error, dataclasses.replace(settings, shape=shape)
        if self.fitter.config.body is Body.CLOSED:
            return
        for beta in signal.beta_codes(limit, settings):
            yield beta.spikes, beta.error, dataclasses.replace(settings, shape=beta.steps.code)


def family_of(site: Site, role: NeuronRole, fitter: Fitter) -> NeuronFamily:
    """All that one neuron of `site` can be."""
    tensor = coded_tensor(site, role, fitter)
    if tensor is not None:
        return CodeFamily(fitter, tensor)
    return FunctionFamily(fitter, site) if isinstance(site, FunctionSite) else PrimitiveFamily(fitter, role)


def coded_tensor(site: Site, role: NeuronRole, fitter: Fitter) -> CodedTensor | None:
    """The tensor that a neuron of `site` codes, if it is a code."""
    return dict(zip(site.roles, coded_tensors(site, fitter.static), strict=False)).get(role)


def worthwhile(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that nothing with fewer or as many spikes betters, from the cheapest to the most exact."""
    return pareto_front(candidates, cost=lambda one: (one.spikes, one.error), error=lambda one: one.error)

# SPDX-License-Identifier: Apache-2.0
"""The candidates for one neuron: different numbers of bases and time steps, ranges and kinds of codes.

All are fitted to the same calibration, which also gives the mean spikes and the error of each.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from onnx_snn.arrays import Float64
from onnx_snn.calibration.observations import CodedTensor, coded_tensors
from onnx_snn.config.neuron_settings import BinaryCode, FittedBases, NeuronSettings
from onnx_snn.conversion.fit_sites import Fitter
from onnx_snn.conversion.plan import Coding
from onnx_snn.fitting.pareto import pareto_front
from onnx_snn.neurons import functions
from onnx_snn.neurons.opset import Body
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import FunctionSite, Site

NARROW_HEADROOM = 2.0
"""Second headroom that is tried for signed codes: twice the largest calibrated magnitude, half the default range."""

FUNCTION_BASES = (2, 4, 6, 8, 12, 16)
"""Numbers of bases that are tried for functions and primitives."""

FUNCTION_TIMESTEPS = 8
"""Largest number of time steps that is tried for functions and primitives. Above it their segments limit the error."""

MANTISSAS = 4096
"""Number of points at which the neurons of 2^x, 1/x and 1/sqrt(x) are evaluated, evenly over their range."""


@dataclass(frozen=True)
class Candidate:
    """A candidate for the neuron of a knob.

    Attributes:
        settings: the settings that select it in a configuration.
        coding: the neuron.
        error: mean squared error on the calibration distribution, relative to the signal.
    """

    settings: NeuronSettings
    coding: Coding
    error: float

    @property
    def spikes(self) -> float:
        """Mean spikes per element on the calibration distribution."""
        return self.coding.spikes


class Arguments(NamedTuple):
    """The arguments at which the candidates for a neuron are evaluated; arrays are float64 [M].

    Attributes:
        points: arguments.
        exact: exact outputs.
        weights: weights of the squared errors.
    """

    points: Float64
    exact: Float64
    weights: Float64


@dataclass(frozen=True)
class NeuronFamily(abc.ABC):
    """All candidates for one neuron.

    Attributes:
        fitter: fitter of neurons to the calibration.
    """

    fitter: Fitter

    @abc.abstractmethod
    def coding(self, settings: NeuronSettings) -> Coding:
        """The neuron with `settings`."""

    @abc.abstractmethod
    def arguments(self) -> Arguments:
        """The arguments at which candidates are evaluated."""

    def settings(self, timesteps: Sequence[int]) -> list[NeuronSettings]:
        """The settings to try with numbers of time steps among `timesteps`; here those of functions and primitives."""
        config = self.fitter.config
        steps = [count for count in timesteps if count <= FUNCTION_TIMESTEPS] or timesteps[:1]
        shapes = [FittedBases(bases) for bases in FUNCTION_BASES]
        return [NeuronSettings(count, config.gate, config.headroom, shape) for count in steps for shape in shapes]

    def candidate(self, settings: NeuronSettings) -> Candidate:
        """The neuron with `settings` and its error."""
        coding, (points, exact, weights) = self.coding(settings), self.arguments()
        power = float(np.average(exact**2, weights=weights))
        error = float(np.average((coding.neuron(points) - exact) ** 2, weights=weights))
        return Candidate(settings, coding, error / power if power else 0.0)

    def worthwhile(self, timesteps: Sequence[int]) -> list[Candidate]:
        """The Pareto front of all candidates, from the fewest spikes to the smallest error."""
        return worthwhile(map(self.candidate, self.settings(timesteps)))


@dataclass(frozen=True)
class FunctionFamily(NeuronFamily):
    """Candidates for the neuron of the scalar function of `site`."""

    site: FunctionSite

    def coding(self, settings: NeuronSettings) -> Coding:
        """The neuron of the function."""
        return self.fitter.function(self.site, settings)

    def arguments(self) -> Arguments:
        """The calibrated arguments of the function, weighted by their counts."""
        points, counts = self.fitter.fits.arguments(self.site)
        return Arguments(points, functions.get(self.site.function).formula(points), counts.astype(np.float64))


@dataclass(frozen=True)
class PrimitiveFamily(NeuronFamily):
    """Candidates for a neuron of 2^x, 1/x or 1/sqrt(x)."""

    role: NeuronRole

    def coding(self, settings: NeuronSettings) -> Coding:
        """The neuron of the primitive."""
        return self.fitter.primitive(self.role, settings)

    def arguments(self) -> Arguments:
        """Mantissas spread evenly, with weights of relative errors."""
        function = functions.get(self.role.value)
        points = np.linspace(*function.domain, MANTISSAS)
        exact = function.formula(points)
        return Arguments(points, exact, 1.0 / exact**2)


@dataclass(frozen=True)
class CodeFamily(NeuronFamily):
    """Candidates for the identity code of `tensor`."""

    tensor: CodedTensor

    def coding(self, settings: NeuronSettings) -> Coding:
        """The code of the tensor."""
        return self.fitter.code(self.tensor, settings)

    def arguments(self) -> Arguments:
        """The calibrated magnitudes after channel scaling."""
        signal = self.fitter.fits.signals.signal(self.tensor)
        return Arguments(signal.points, signal.points, signal.weights)

    def settings(self, timesteps: Sequence[int]) -> list[NeuronSettings]:
        """The settings of the codes on the Pareto front over all time steps and ranges; only these are built."""
        gate, headroom = self.fitter.config.gate, self.fitter.config.headroom
        narrow = not self.tensor.probabilities and headroom > NARROW_HEADROOM
        ranges = (headroom, NARROW_HEADROOM) if narrow else (headroom,)
        tried = [NeuronSettings(count, gate, range_) for range_ in ranges for count in timesteps]
        rated = [code for settings in tried for code in self._rated_codes(settings)]
        front = pareto_front(rated, cost=lambda code: code[:2], error=lambda code: code[1])
        return [settings for _, _, settings in front]

    def _rated_codes(self, settings: NeuronSettings) -> Iterator[tuple[float, float, NeuronSettings]]:
        """Yield spikes, error and settings of the sparse codes with the time steps and headroom of `settings`."""
        signals = self.fitter.fits.signals
        signal, limit = signals.signal(self.tensor), signals.limit(self.tensor, settings.headroom)
        for binary in signal.binary_codes(limit, settings):
            shape = BinaryCode(binary.octaves)
            yield binary.spikes, binary.error, dataclasses.replace(settings, shape=shape)
        closed = self.fitter.config.body is Body.CLOSED
        for beta in signal.beta_codes(limit, settings):
            if closed and len(beta.steps.code.octaves) > 1:
                continue
            yield beta.spikes, beta.error, dataclasses.replace(settings, shape=beta.steps.code)


def family_of(site: Site, role: NeuronRole, fitter: Fitter) -> NeuronFamily:
    """The candidates for the neuron of `site` with `role`."""
    tensor = coded_tensor(site, role, fitter)
    if tensor is not None:
        return CodeFamily(fitter, tensor)
    return FunctionFamily(fitter, site) if isinstance(site, FunctionSite) else PrimitiveFamily(fitter, role)


def coded_tensor(site: Site, role: NeuronRole, fitter: Fitter) -> CodedTensor | None:
    """The tensor that the neuron of `site` with `role` codes; None where it is no identity code."""
    return dict(zip(site.roles, coded_tensors(site, fitter.static), strict=False)).get(role)


def worthwhile(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The Pareto front of `candidates` in spikes and error, from the fewest spikes to the smallest error."""
    return pareto_front(candidates, cost=lambda one: (one.spikes, one.error), error=lambda one: one.error)

# SPDX-License-Identifier: Apache-2.0
"""The candidates for one neuron: different numbers of bases and time steps, and kinds of codes.

All are fitted to the same calibration, which also gives the mean spikes and the error of each.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from onnx_snn.allocation.fit_sites import Fitter
from onnx_snn.allocation.plan import Coding
from onnx_snn.arrays import Float64
from onnx_snn.calibration.observations import CodedTensor, coded_tensors
from onnx_snn.config.neuron_settings import BinaryCode, FittedBases, Implied, NeuronSettings
from onnx_snn.fitting.grid_code import exact_settings
from onnx_snn.fitting.pareto import pareto_front
from onnx_snn.neurons import functions
from onnx_snn.neurons.opset import Body
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import FunctionSite, Site

SHARES_OF_TIMESTEPS = (1.0, 0.5)
"""Numbers of time steps of codes that are tried, as shares of the largest one. Between them the codes hardly differ."""

FUNCTION_TIMESTEPS = 8
"""Largest number of time steps of functions and primitives. Above it their segments limit the error."""

FUNCTION_BASES = (4, 8, 16, 32)
"""Numbers of bases that are tried for functions and primitives. Those with the most serve tight budgets: with 16 bases
the GELUs of a GPT-2 alone make an error of 0.12 % at its output, with 32 a third of it."""

LEAST_GAIN = 0.05
"""Share by which the squared error of a candidate must be below that of the next cheaper one."""

MANTISSAS = 4096
"""Number of points at which the neurons of 2^x, 1/x and 1/sqrt(x) are evaluated, evenly over their range."""


@dataclass(frozen=True)
class Candidate:
    """A candidate for the neuron of a knob.

    Attributes:
        settings: the settings that select it in a configuration.
        spikes: mean spikes per element on the calibration distribution.
        error: mean squared error on the calibration distribution, relative to the signal.
        family: the family that builds the neuron.
    """

    settings: NeuronSettings
    spikes: float
    error: float
    family: NeuronFamily = field(repr=False, compare=False)

    @cached_property
    def coding(self) -> Coding:
        """The neuron."""
        return self.family.coding(self.settings)


class Arguments(NamedTuple):
    """The arguments at which neurons of functions are evaluated; arrays are float64 [M].

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
        limits: the settings that candidates must keep: their number of time steps is the largest one.
    """

    fitter: Fitter
    limits: NeuronSettings

    @abc.abstractmethod
    def coding(self, settings: NeuronSettings) -> Coding:
        """The neuron with `settings`."""

    @abc.abstractmethod
    def rated(self) -> Iterable[Candidate]:
        """All candidates that are tried."""

    @property
    def is_fixed(self) -> bool:
        """Whether the configuration gives the bases of the neuron, so that there is nothing to choose."""
        return not isinstance(self.limits.shape, Implied)

    def worthwhile(self) -> list[Candidate]:
        """The Pareto front of the candidates in spikes and error, from the fewest spikes to the smallest error."""
        if self.is_fixed:
            return [Candidate(self.limits, self.coding(self.limits).spikes, 0.0, self)]
        return worthwhile(self.rated())


@dataclass(frozen=True)
class FittedFamily(NeuronFamily):
    """Candidates for the neuron of a function: different numbers of bases and time steps."""

    @abc.abstractmethod
    def arguments(self) -> Arguments:
        """The arguments at which candidates are evaluated."""

    def rated(self) -> Iterator[Candidate]:
        """Yield the neurons of different numbers of bases and time steps with their errors."""
        points, exact, weights = self.arguments()
        power = float(np.average(exact**2, weights=weights))
        most = min(self.limits.timesteps, FUNCTION_TIMESTEPS)
        sizes = [(most, bases) for bases in FUNCTION_BASES]
        # Half of the time steps save spikes, but exactness needs all of them.
        sizes += [(math.ceil(most / 2), bases) for bases in FUNCTION_BASES[:2]]
        for timesteps, bases in sizes:
            settings = dataclasses.replace(self.limits, timesteps=timesteps, shape=FittedBases(bases))
            coding = self.coding(settings)
            error = float(np.average((coding.neuron(points) - exact) ** 2, weights=weights))
            yield Candidate(settings, coding.spikes, error / power if power else 0.0, self)


@dataclass(frozen=True)
class FunctionFamily(FittedFamily):
    """Candidates for the neuron of the scalar function `name` of the tensor `argument`."""

    name: str
    argument: str

    def coding(self, settings: NeuronSettings) -> Coding:
        """The neuron of the function."""
        return self.fitter.function(self.name, self.argument, settings)

    def arguments(self) -> Arguments:
        """The calibrated arguments of the function, weighted by their counts."""
        points, counts = self.fitter.fits.arguments(self.name, self.argument)
        return Arguments(points, functions.get(self.name).formula(points), counts.astype(np.float64))


@dataclass(frozen=True)
class PrimitiveFamily(FittedFamily):
    """Candidates for a neuron of 2^x, 1/x or 1/sqrt(x)."""

    role: NeuronRole

    def coding(self, settings: NeuronSettings) -> Coding:
        """The neuron of the primitive."""
        return self.fitter.primitive(self.role, settings)

    def arguments(self) -> Arguments:
        """Mantissas spread evenly, with weights of relative errors."""
        return _mantissas(self.role.value)


@cache
def _mantissas(name: str) -> Arguments:
    """Arguments of the primitive `name`, spread evenly, with weights of relative errors."""
    function = functions.get(name)
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

    def rated(self) -> Iterator[Candidate]:
        """Yield the binary codes, beta codes, and that of the tensor's grid.

        Closed bodies hold of the beta codes those of one segment.
        """
        signals = self.fitter.fits.signals
        signal, limit = signals.signal(self.tensor), signals.limit(self.tensor, self.limits.headroom)
        largest = self.limits.timesteps
        for count in sorted({max(1, math.ceil(share * largest)) for share in SHARES_OF_TIMESTEPS}):
            settings = dataclasses.replace(self.limits, timesteps=count)
            for binary in signal.binary_codes(limit, settings):
                chosen = dataclasses.replace(settings, shape=BinaryCode(binary.octaves))
                yield self._candidate(chosen, binary.spikes, binary.error)
            for beta in signal.beta_codes(limit, settings):
                if self.fitter.config.body is Body.LOOP or len(beta.steps.code.octaves) == 1:
                    chosen = dataclasses.replace(settings, shape=beta.steps.code)
                    yield self._candidate(chosen, beta.spikes, beta.error)
        exact = exact_settings(self.tensor.grid, self.limits)
        if exact is not None:
            yield self._candidate(exact, self.coding(exact).spikes, 0.0)

    def _candidate(self, settings: NeuronSettings, spikes: float, error: float) -> Candidate:
        return Candidate(settings, spikes, error**2, self)


def family_of(site: Site, role: NeuronRole, fitter: Fitter) -> NeuronFamily:
    """The candidates for the neuron of `site` with `role`."""
    tensor, limits = coded_tensor(site, role, fitter), fitter.settings.of(site, role)
    if tensor is not None:
        return CodeFamily(fitter, limits, tensor)
    if isinstance(site, FunctionSite):
        return FunctionFamily(fitter, limits, site.function, site.inputs[0].name or "")
    return PrimitiveFamily(fitter, limits, role)


def coded_tensor(site: Site, role: NeuronRole, fitter: Fitter) -> CodedTensor | None:
    """The tensor that the neuron of `site` with `role` codes; None where it is no identity code."""
    return dict(zip(site.roles, coded_tensors(site, fitter.static), strict=False)).get(role)


def worthwhile(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The Pareto front of `candidates` in spikes and error, from the fewest spikes to the smallest error."""
    return pareto_front(
        candidates, cost=lambda one: (one.spikes, one.error), error=lambda one: one.error, margin=LEAST_GAIN
    )

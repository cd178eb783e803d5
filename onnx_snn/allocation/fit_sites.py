# SPDX-License-Identifier: Apache-2.0
"""The fit stage of a conversion: neurons for every site, or the reason why it cannot be converted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from onnx_snn.allocation.calibrated_signals import CalibratedSignals, Refusal, require_defined
from onnx_snn.allocation.channel_importance import channel_importance
from onnx_snn.allocation.neuron_fits import NeuronFits, primitive
from onnx_snn.allocation.plan import Coding, SitePlan
from onnx_snn.allocation.sparse_neurons import sparse_code, sparse_function
from onnx_snn.calibration.observations import CodedTensor, StaticAxes, coded_tensors
from onnx_snn.calibration.statistics import Calibration
from onnx_snn.config.allowances import Allowances
from onnx_snn.config.convert_config import ConvertConfig, Preset
from onnx_snn.config.neuron_settings import BetaCode, BinaryCode, FittedBases, GridCode, Implied, NeuronSettings
from onnx_snn.config.node_settings import Settings
from onnx_snn.decompositions.type_inference import CAST_TYPES
from onnx_snn.fitting.beta_codes import BetaSteps
from onnx_snn.fitting.binary_codes import binary_code
from onnx_snn.fitting.grid_code import exact_settings, grid_neuron
from onnx_snn.fitting.ratings import mean_spikes
from onnx_snn.neurons import functions
from onnx_snn.neurons.mbe import MbeNeuron
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import FunctionSite, NormSite, Site, SoftmaxSite


def fit_sites(sites: Iterable[Site], fitter: Fitter) -> tuple[list[SitePlan], dict[Site, str]]:
    """Plans for the sites that can be converted, and reasons for those that cannot."""
    plans: list[SitePlan] = []
    refused: dict[Site, str] = {}
    for site in sites:
        try:
            plans.append(fitter.plan(site))
        except Refusal as refusal:  # noqa: PERF203 - a fit takes a million times as long as a try
            refused[site] = str(refusal)
    return plans, refused


def supported_sites(sites: Iterable[Site], fitter: Fitter) -> tuple[list[Site], dict[Site, str]]:
    """The sites that can be converted, and reasons for those that cannot."""
    supported: list[Site] = []
    refused: dict[Site, str] = {}
    for site in sites:
        try:
            fitter.check(site)
            supported.append(site)
        except Refusal as refusal:  # noqa: PERF203 - histograms are read, which takes longer than a try
            refused[site] = str(refusal)
    return supported, refused


class Fitter:
    """Chooses and fits the neurons of sites; equal tensors and settings share one identity code.

    Args:
        fits: neurons fitted to one calibration.
        static: axes of fixed size of the calibrated tensors.
        config: the options of the conversion.
        allowances: error and spike limits of sparse neurons; None for neurons with the full number of bases.
        settings: settings of every neuron; a neuron with an explicit shape is not made sparse.
    """

    def __init__(
        self,
        fits: NeuronFits,
        static: StaticAxes,
        config: ConvertConfig,
        allowances: Allowances | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.fits, self.static, self.config, self.allowances = fits, static, config, allowances
        self.settings = settings or Settings(config.neuron)
        self._codes: dict[tuple[CodedTensor, NeuronSettings], Coding] = {}

    @classmethod
    def of(cls, sites: Iterable[Site], calibration: Calibration, static: StaticAxes, config: ConvertConfig) -> Fitter:
        """A fitter of neurons with the full number of bases for `sites`, without overrides for single nodes."""
        importance = channel_importance(sites, static, calibration)
        return cls(NeuronFits(CalibratedSignals(calibration, config.preset, importance)), static, config)

    def within(self, allowances: Allowances | None, settings: Settings) -> Fitter:
        """A fitter with other allowances and settings that reuses the neurons fitted so far."""
        return Fitter(self.fits, self.static, self.config, allowances, settings)

    def check(self, site: Site) -> None:
        """Check that `site` can be converted, which fitting its neurons presupposes.

        Raises:
            Refusal: it cannot.
        """
        _require_supported(site)
        for tensor in coded_tensors(site, self.static):
            self.fits.signals.signal(tensor)
        if isinstance(site, FunctionSite):
            function, argument = functions.get(site.function), site.inputs[0].name or ""
            require_defined(function, self.fits.signals.histogram(argument, bounded=function.reduced is None))
            if not function.fixed_domain:
                self.fits.density(site.function, argument, self.settings.of(site, NeuronRole.FUNCTION))

    def plan(self, site: Site) -> SitePlan:
        """The neurons of `site`.

        Raises:
            Refusal: it cannot be converted.
        """
        self.check(site)
        tensors = dict(zip(site.roles, coded_tensors(site, self.static), strict=False))
        return SitePlan(site, {role: self.neuron(site, role, tensors.get(role)) for role in site.roles})

    def neuron(self, site: Site, role: NeuronRole, tensor: CodedTensor | None) -> Coding:
        """One neuron of `site`: the identity code of `tensor` where that is given."""
        settings = self.settings.of(site, role)
        if tensor is not None:
            return self.code(tensor, settings)
        if isinstance(site, FunctionSite):
            return self.function(site.function, site.inputs[0].name or "", settings)
        return self.primitive(role, settings)

    def primitive(self, role: NeuronRole, settings: NeuronSettings) -> Coding:
        """The neuron of 2^x, 1/x or 1/sqrt(x)."""
        bases = settings.bases_or(self.config.bases_at(settings.timesteps).primitive)
        return primitive(role.value, bases, settings, self.config.preset)

    def function(self, name: str, argument: str, settings: NeuronSettings) -> Coding:
        """The neuron of the scalar function `name` of the tensor `argument`, with its mean spikes there."""
        if self.allowances is not None and isinstance(settings.shape, Implied):
            neuron = sparse_function(self.fits, name, argument, self.allowances.function, settings)
        else:
            bases = settings.bases_or(self.config.bases_at(settings.timesteps).function)
            neuron = self.fits.function(name, argument, bases, settings)
        return Coding(neuron, spikes=mean_spikes(neuron, *self.fits.arguments(name, argument)))

    def code(self, tensor: CodedTensor, settings: NeuronSettings) -> Coding:
        """The identity code of a tensor, with its channel scales and mean spikes."""
        by_paper = self.config.preset is Preset.PAPER
        if isinstance(settings.shape, Implied) and self.allowances is None and not by_paper:
            settings = exact_settings(tensor.grid, settings) or settings
        key = tensor, settings
        if key not in self._codes:
            signal, neuron = self.fits.signals.signal(tensor), self._code(tensor, settings)
            scale = signal.scale
            if isinstance(settings.shape, GridCode):
                signal, scale = self.fits.signals.signal(tensor.unscaled), np.ones_like(scale)
            self._codes[key] = Coding(neuron, scale, mean_spikes(neuron, signal.points, signal.counts), signal)
        return self._codes[key]

    def _code(self, tensor: CodedTensor, settings: NeuronSettings) -> MbeNeuron:
        limit, one_sided = self.fits.signals.limit(tensor, settings.headroom), tensor.probabilities
        match settings.shape:
            case BetaCode() as code:
                steps = BetaSteps(settings.timesteps, code)
                return steps.neuron(limit, one_sided=one_sided, gate=settings.gate)
            case BinaryCode() as code:
                return binary_code(code, settings.timesteps, limit, one_sided=one_sided, gate=settings.gate)
            case GridCode() as code:
                return grid_neuron(code, settings, one_sided=one_sided)
            case FittedBases(bases):
                return self.fits.code(tensor, bases, settings)
            case Implied() if self.allowances is not None:
                allowance = self.allowances.weighted if tensor.weighted else self.allowances.operand
                return sparse_code(self.fits, tensor, allowance, settings)
            case Implied():
                return self.fits.code(tensor, self.config.bases_at(settings.timesteps).identity, settings)


def _require_supported(site: Site) -> None:
    """Raise `Refusal` where no spiking op supports the type or the axis of the site."""
    for value in site.inputs:
        if value.dtype not in (None, ir.DataType.FLOAT, *CAST_TYPES):
            raise Refusal(
                f"its input {value.name!r} has type {value.dtype}; spiking ops take floats of 16, 32 or 64 bits"
            )
    if isinstance(site, SoftmaxSite) and site.axis != -1 and site.inputs[0].shape is None:
        raise Refusal(f"its axis {site.axis} cannot be moved to the end: the rank of its input is unknown")
    if isinstance(site, NormSite) and site.inputs[0].shape is None and site.axes != tuple(range(-len(site.axes), 0)):
        raise Refusal(f"its axes {site.axes} cannot be moved to the end: the rank of its input is unknown")

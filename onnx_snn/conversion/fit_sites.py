# SPDX-License-Identifier: Apache-2.0
"""Fit: from what calibration saw at a site to its neurons, or to the reason why it cannot be converted.

Ranges belong to sites: a few massive activations decide the loss of a real network. A function is fitted
between its calibrated extremes, widened by the headroom; a signed code reaches `headroom` times the largest
calibrated magnitude; probabilities are coded one-sidedly up to exactly 1. The neurons inside softmax and the
normalizations see mantissas, whose range is known, and are the same everywhere.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterable
from functools import cache, partial
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.calibration.observations import CodedTensor, StaticAxes, coded_tensors
from onnx_snn.calibration.signed_histogram import SignedHistogram
from onnx_snn.calibration.statistics import Calibration
from onnx_snn.config.convert_config import Allowance, Allowances, ConvertConfig, Preset
from onnx_snn.config.node_settings import NEURONS, NeuronSettings, Settings
from onnx_snn.conversion.plan import Coding, SitePlan
from onnx_snn.decompositions.type_inference import LOW_PRECISION
from onnx_snn.fitting.beta_codes import GreedySteps
from onnx_snn.fitting.binary_codes import leanest, level_sizes
from onnx_snn.fitting.error_weights import importance
from onnx_snn.fitting.fits import Density, calibrated_density, fit_function, fit_identity, uniform_density
from onnx_snn.fitting.identity_code import code_of_levels
from onnx_snn.fitting.paper_neuron import fit_paper
from onnx_snn.fitting.signal import Signal, lean_front
from onnx_snn.neurons import functions
from onnx_snn.neurons.functions import ScalarFunction
from onnx_snn.neurons.mbe import UNSCALED, Float32, MbeNeuron, fired_slots
from onnx_snn.rules.site import Kind, Site

PRIMITIVES = {"exp2_": "exp2", "reciprocal_": "reciprocal", "rsqrt_": "rsqrt"}
"""Functions behind the neurons of the composite ops, by their input prefix."""


LARGEST_MAGNITUDE = 2.0**60
"""Beyond it the squares that the fits sum leave float64, and no trained network has such activations."""

LEAN_FUNCTIONS = ((16, 0), (16, 1), (16, 2), (12, 2), (10, 2), (8, 2), (8, 3))
"""Bases, and time steps below the slowest neuron's, of the neurons that a lean function may be, from the most exact to
the one that fires least: of 16 bases six bits are as good as eight bits of eight, and fire less."""

LEAN_CODES = (6, 8, 12, 16, 32)
"""Segments of the codes that are tried where a few do not suffice."""

SMALLEST_MAGNITUDE = 2.0**-60
"""Below it the gains of finely coded segments leave float32: such a signal has died out on its way."""


Found = TypeVar("Found")


class Refusal(Exception):  # noqa: N818 - not an error: it becomes a line of the report
    """Why a site cannot be converted."""


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


class Fitter:
    """Fits neurons from one calibration; equal questions get the same neuron.

    Args:
        calibration: what the tensors hold.
        static: which of their axes have a fixed size.
        config: the options of the conversion.
        allowances: what lean neurons may spend; None for neurons as exact as `config` makes them.
        settings: those of single neurons; a neuron whose bases they name is not lean.
        memory: what a fitter of the same calibration has found before.
    """

    def __init__(
        self,
        calibration: Calibration,
        static: StaticAxes,
        config: ConvertConfig,
        allowances: Allowances | None = None,
        settings: Settings | None = None,
        memory: dict[Hashable, Any] | None = None,
    ) -> None:
        self.calibration, self.static, self.config, self.allowances = calibration, static, config, allowances
        self.settings = settings or Settings(config.neuron)
        self._memory = {} if memory is None else memory
        self._codes: dict[tuple[CodedTensor, NeuronSettings], tuple[Coding, float]] = {}

    def within(self, allowances: Allowances | None, settings: Settings) -> Fitter:
        """A fitter with other allowances and settings that knows what this one has found."""
        return Fitter(self.calibration, self.static, self.config, allowances, settings, self._memory)

    def _once(self, make: Callable[[], Found], *question: Hashable) -> Found:
        """What `make` answers to `question`, asked the first time only."""
        if question not in self._memory:
            self._memory[question] = make()
        found: Found = self._memory[question]
        return found

    def plan(self, site: Site) -> SitePlan:
        """The neurons of `site`.

        Raises:
            Refusal: it cannot be converted.
        """
        for value in site.inputs:
            if value.dtype not in (None, ir.DataType.FLOAT, *LOW_PRECISION):
                raise Refusal(f"its input is {value.dtype}; spiking ops compute in FLOAT")
        if site.kind is Kind.FUNCTION:
            return self._function(site)
        coded = [
            self.code(tensor, self.settings.of(site, name))
            for tensor, name in zip(coded_tensors(site, self.static), NEURONS[site.kind], strict=False)
        ]
        if site.kind in (Kind.PRODUCT, Kind.SYNAPSE):
            spikes = {f"operand {i}": value for i, (_, value) in enumerate(coded)}
            return SitePlan(site, operands=tuple(coding for coding, _ in coded), spikes=spikes)
        if site.kind is Kind.SOFTMAX:
            if site.parameters["axis"] != -1 and site.inputs[0].shape is None:
                raise Refusal(f"its axis {site.parameters['axis']} cannot be moved: the rank of its input is unknown")
            return self._composite(site, ("exp2_", "reciprocal_"))
        if site.parameters["axis"] != -1:
            raise Refusal(f"normalizes from axis {site.parameters['axis']}; only the last axis is supported")
        (deviation, spikes_of_deviation), plan = coded[0], self._composite(site, ("rsqrt_",))
        return SitePlan(
            site,
            neurons={"deviation_": deviation, **plan.neurons},
            spikes={"deviation": spikes_of_deviation, **plan.spikes},
        )

    def _composite(self, site: Site, prefixes: Iterable[str]) -> SitePlan:
        fitted = {
            prefix: self.primitive(PRIMITIVES[prefix], self.settings.of(site, prefix.rstrip("_")))
            for prefix in prefixes
        }
        return SitePlan(
            site,
            neurons={prefix: coding for prefix, (coding, _) in fitted.items()},
            spikes={prefix.rstrip("_"): spikes for prefix, (_, spikes) in fitted.items()},
        )

    def primitive(self, name: str, settings: NeuronSettings) -> tuple[Coding, float]:
        """The neuron of a primitive and its spikes per element."""
        bases = settings.bases or self.config.bases_at(settings.timesteps).primitive
        return _primitive(name, dataclasses.replace(settings, bases=bases), self.config.preset)

    def _function(self, site: Site) -> SitePlan:
        coding, spikes = self.function(site, self.settings.of(site, "function"))
        return SitePlan(site, neurons={"": coding}, spikes={"function": spikes})

    def function(self, site: Site, settings: NeuronSettings) -> tuple[Coding, float]:
        """The neuron of a function site and its spikes per element."""
        assert site.function is not None, "a function site names its function"
        function = functions.get(site.function)
        histogram = self._histogram(site.inputs[0].name or "")
        points, counts = histogram.points(), histogram.counts()
        density = calibrated_density(points, counts, *_widened(function, histogram, settings.headroom))
        if self.allowances is not None and settings.bases is None:
            neuron = self._lean_function(site, density, points, counts, self.allowances.function, settings)
        else:
            bases = settings.bases or self.config.bases_at(settings.timesteps).function
            neuron = _fit(function, dataclasses.replace(settings, bases=bases), self.config.preset, density)
        return Coding(neuron), mean_spikes(neuron, points, counts)

    def _lean_function(
        self,
        site: Site,
        density: Density,
        points: NDArray[np.float64],
        counts: NDArray[Any],
        allowance: Allowance,
        settings: NeuronSettings,
    ) -> MbeNeuron:
        """The most exact neuron within `allowance`."""
        function = functions.get(str(site.function))
        exact, chosen = function.formula(points), None
        for bases, fewer in LEAN_FUNCTIONS:
            sized = dataclasses.replace(settings, bases=bases, timesteps=max(settings.timesteps - fewer, 1))
            fit = partial(_fit, function, sized, self.config.preset, density)
            neuron = self._once(fit, "function", site.function, site.inputs[0].name, sized)
            if chosen is not None and relative_error(neuron(points), exact, counts) > allowance.error:
                break
            chosen = neuron
            if mean_spikes(neuron, points, counts) <= allowance.spikes:
                break
        assert chosen is not None, "there is a first neuron"
        return chosen

    def code(self, tensor: CodedTensor, settings: NeuronSettings) -> tuple[Coding, float]:
        """The identity code of a tensor and its spikes per element."""
        key = tensor, settings
        if key not in self._codes:
            self._codes[key] = self._fit_code(tensor, settings)
        return self._codes[key]

    def _fit_code(self, tensor: CodedTensor, settings: NeuronSettings) -> tuple[Coding, float]:
        signal = self.signal(tensor)
        limit = self.limit(tensor, settings)
        if settings.decay is not None:
            octaves = settings.octaves or (0,)
            steps = GreedySteps(settings.timesteps, settings.decay, settings.halvings or 0, octaves)
            neuron = steps.neuron(limit, one_sided=tensor.probabilities, gate=settings.gate)
        elif settings.octaves is not None:
            (levels,) = level_sizes(np.array([settings.octaves], np.float64), settings.timesteps, limit)
            polarity = 0 if tensor.probabilities else 1
            neuron = code_of_levels(levels, settings.timesteps, polarity=polarity, gate=settings.gate)
        elif self.allowances is not None and settings.bases is None:
            allowance = self.allowances.synapse if tensor.weighted else self.allowances.operand
            neuron = self._lean_code(tensor, signal, limit, allowance, settings)
        else:
            bases = settings.bases or self.config.bases_at(settings.timesteps).identity
            sized = dataclasses.replace(settings, bases=bases)
            neuron = self._identity(signal, limit, sized, one_sided=tensor.probabilities)
        return Coding(neuron, signal.scale), mean_spikes(neuron, signal.points, signal.counts)

    def signal(self, tensor: CodedTensor) -> Signal:
        """What calibration saw of a tensor, as its code sees it."""
        return self._once(lambda: self._signal(tensor), "signal", tensor)

    def _signal(self, tensor: CodedTensor) -> Signal:
        histogram = self._histogram(tensor.tensor)
        if tensor.probabilities:
            points, counts, scale, largest = histogram.points(), histogram.counts(), UNSCALED, 1.0
        else:
            points, counts, scale, largest = self._magnitudes(tensor, histogram)
        importance = np.ones_like(points) if tensor.divisor is None else self._importance(tensor.divisor, points)
        return Signal(points, counts, importance, scale, largest)

    def limit(self, tensor: CodedTensor, settings: NeuronSettings) -> float:
        """The largest scaled magnitude that the code of a tensor must reach."""
        return 1.0 if tensor.probabilities else settings.headroom * self.signal(tensor).largest or 1.0

    def _lean_code(
        self, tensor: CodedTensor, signal: Signal, limit: float, allowance: Allowance, settings: NeuronSettings
    ) -> MbeNeuron:
        """The most exact code within `allowance`: one of few segments, or the first one of many that will do."""
        front = self._once(lambda: lean_front(signal, limit, settings), "front", tensor, settings)
        code = leanest(front, allowance)
        if code is not None:
            return code.neuron(one_sided=tensor.probabilities, gate=settings.gate)
        for bases in LEAN_CODES:
            sized = dataclasses.replace(settings, bases=bases)
            fit = partial(self._identity, signal, limit, sized, one_sided=tensor.probabilities)
            neuron = self._once(fit, "code", tensor, sized)
            if relative_error(neuron(signal.points), signal.points, signal.weights) <= allowance.error:
                break
        return neuron

    def _identity(self, signal: Signal, limit: float, settings: NeuronSettings, *, one_sided: bool) -> MbeNeuron:
        """The code with the bases of `settings` that errs least."""
        assert settings.bases is not None, "callers have chosen"
        density = _density(signal.points, signal.weights, limit)
        bases, timesteps = settings.bases, settings.timesteps
        if self.config.preset is Preset.PAPER:
            signed, lowest = (density, 0.0) if one_sided else (_mirrored(density), -limit)
            return fit_paper(functions.get("identity"), bases, timesteps, calibrated_density(*signed, lowest, limit))
        return fit_identity(density, bases, timesteps, limit=limit, one_sided=one_sided, gate=settings.gate)

    def _importance(self, divisor: str, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much errors at the scaled magnitudes `points` [M] count when rows are divided by the tensor `divisor`."""
        rows = self.calibration.signed[divisor]
        return importance(points, rows.points(), rows.counts())

    def _magnitudes(
        self, tensor: CodedTensor, histogram: SignedHistogram
    ) -> tuple[NDArray[np.float64], NDArray[Any], Float32, float]:
        """Points and masses of the scaled magnitudes, the scale and the largest of them."""
        if tensor.axes is None or self.config.preset is Preset.PAPER:
            signed, counts = histogram.points(), histogram.counts()
            magnitudes, places = np.unique(np.abs(signed), return_inverse=True)
            united = np.bincount(places, weights=counts).astype(np.int64)
            return magnitudes, united, UNSCALED, max(abs(histogram.minimum), abs(histogram.maximum))
        channels = self.calibration.channels[tensor.tensor, tensor.axes]
        scales = channels.power_of_two_scales()
        scaled = channels.scaled(scales)
        sizes = self._channel_sizes(tensor)
        return *scaled.spread(), scales.reshape(sizes), scaled.maximum

    def _channel_sizes(self, tensor: CodedTensor) -> list[int]:
        """Shape of the scale: the channels' sizes at their axes, 1 at the others, leading ones dropped."""
        assert tensor.axes is not None, "channels have axes"
        shape = next(iter(self.calibration.shapes[tensor.tensor]))
        return [shape[axis] if axis in tensor.axes else 1 for axis in range(min(tensor.axes), 0)]

    def _histogram(self, name: str) -> SignedHistogram:
        """What calibration saw of a tensor.

        Raises:
            Refusal: it saw nothing, or values that no code can hold.
        """
        histogram = self.calibration.signed[name]
        if histogram.count == 0:
            raise Refusal("calibration saw no finite value at its input")
        magnitude = max(-histogram.minimum, histogram.maximum)
        if not (magnitude == 0.0 or SMALLEST_MAGNITUDE <= magnitude <= LARGEST_MAGNITUDE):
            raise Refusal(f"calibration saw values from {histogram.minimum:g} to {histogram.maximum:g} at its input")
        if histogram.nan_count or histogram.inf_count:
            raise Refusal(
                f"calibration saw {histogram.nan_count} NaN and {histogram.inf_count} infinities at its input"
            )
        return histogram


def mean_spikes(neuron: MbeNeuron, points: NDArray[np.float64], counts: NDArray[Any]) -> float:
    """Fired slots per element when the arguments `points` [M] occur `counts` [M] times."""
    return float(np.average(fired_slots(neuron, points), weights=counts))


def relative_error(got: NDArray[Any], exact: NDArray[np.float64], counts: NDArray[Any]) -> float:
    """Root mean square of the error over that of `exact` [M], values that occur `counts` [M] times."""
    error, power = (float(np.average(square, weights=counts)) for square in ((got - exact) ** 2, exact**2))
    return math.sqrt(error / power) if power else math.inf


def _fit(function: ScalarFunction, settings: NeuronSettings, preset: Preset, density: Density) -> MbeNeuron:
    """The neuron that the preset makes of `function`."""
    assert settings.bases is not None, "callers have chosen"
    if preset is Preset.PAPER:
        return fit_paper(function, settings.bases, settings.timesteps, density)
    return fit_function(function, settings.bases, settings.timesteps, density, gate=settings.gate)


@cache
def _primitive(name: str, settings: NeuronSettings, preset: Preset) -> tuple[Coding, float]:
    """Neuron of a primitive and its spikes per element; its arguments are mantissas, taken as uniform."""
    function = functions.get(name)
    density = uniform_density(*function.domain)
    neuron = _fit(function, settings, preset, density)
    return Coding(neuron), mean_spikes(neuron, density.points, np.ones(density.points.size, np.int64))


def _widened(function: ScalarFunction, histogram: SignedHistogram, headroom: float) -> tuple[float, float]:
    """Range of a fitted function: its origin, and its calibrated extremes times the root of the headroom.

    Half the headroom of a code, in octaves: beyond the range a function clips, where a code would lose all.
    """
    factor = math.sqrt(headroom)
    lo = min(histogram.minimum * factor, histogram.minimum, function.origin)
    hi = max(histogram.maximum * factor, histogram.maximum, function.origin)
    return (lo, hi) if lo < hi else (function.origin - 1.0, function.origin + 1.0)


def _density(points: NDArray[np.float64], counts: NDArray[Any], limit: float) -> Density:
    """The density of a histogram of magnitudes on [0, limit], both ends among its points."""
    reached = np.clip(np.concatenate([points, [0.0, limit]]), 0.0, limit)
    distinct, places = np.unique(reached, return_inverse=True)
    mass = np.bincount(places, weights=np.append(counts / counts.sum(), [0.0, 0.0])).astype(np.float64)
    return Density(distinct, mass)


def _mirrored(density: Density) -> Density:
    """The density of a signed value of which `density` holds the magnitudes."""
    positive = density.points > 0.0
    points = np.concatenate([-density.points[positive][::-1], density.points])
    mass = np.concatenate([density.mass[positive][::-1] / 2, np.where(positive, density.mass / 2, density.mass)])
    return Density(points, mass)

# SPDX-License-Identifier: Apache-2.0
"""What a network's neurons can be: every neuron that is chosen apart, and the neurons it can be.

A *knob* is one neuron of the network, or one code that several nodes read. Its candidates are neurons of other numbers
of bases and time steps, other ranges and other kinds of codes, all fitted to the same calibration: each with the spikes
that it fires and the error that it makes there. Of them those are kept that nothing cheaper betters.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from onnx_snn.calibration.observations import CodedTensor, coded_tensors
from onnx_snn.config.node_settings import NEURONS, NeuronSettings
from onnx_snn.conversion.fit_sites import PRIMITIVES, Fitter
from onnx_snn.conversion.plan import Coding, SitePlan
from onnx_snn.data.specs import Feed
from onnx_snn.fitting.signal import greedy_front, lean_front
from onnx_snn.graph.shapes import Shapes
from onnx_snn.neurons import functions
from onnx_snn.neurons.opset import Body
from onnx_snn.rules.site import Kind, Site
from onnx_snn.tuning.cost_model import Load, load_of

TIMESTEPS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
"""Time steps to choose from: above 8 one more changes little."""

NARROW_HEADROOM = 2.0
"""Half the usual range over the largest calibrated magnitude is tried as well."""

FUNCTION_BASES = (2, 4, 6, 8, 12, 16)
"""Segments of a function, whose curvature asks for more."""

FUNCTION_TIMESTEPS = 8
"""Bits beyond which the segments of a function decide its error."""


MANTISSAS = 4096
"""Points at which the neurons of 2^x, 1/x and 1/sqrt(x) are judged, whose arguments lie anywhere in their range."""


@dataclass(frozen=True)
class Candidate:
    """One neuron that a knob can be.

    Attributes:
        settings: what a configuration asks for to get it.
        coding: the neuron itself.
        spikes: fired slots per element on the calibration distribution.
        error: mean squared error there, relative to the signal.
    """

    settings: NeuronSettings
    coding: Coding
    spikes: float
    error: float


@dataclass
class Knob:
    """A neuron that is chosen apart.

    Attributes:
        members: the sites that it belongs to and its name there.
        load: what hangs on it.
        candidates: what it can be, from the cheapest to the most exact.
    """

    members: list[tuple[Site, str]]
    load: Load
    candidates: list[Candidate] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For reports: site and neuron."""
        site, neuron = self.members[0]
        return f"{site.name} {neuron}"


def knobs_of(
    plans: Iterable[SitePlan], fitter: Fitter, shapes: Shapes, feed: Feed, most_timesteps: int, *, progress: bool
) -> list[Knob]:
    """The knobs of the sites of `plans` with all their candidates, in graph order."""
    codes: dict[CodedTensor, Knob] = {}
    others: list[Knob] = []
    for plan in plans:
        tensors = coded_tensors(plan.site, fitter.static)
        for place, neuron in enumerate(NEURONS[plan.site.kind]):
            load = load_of(plan.site, neuron, shapes, feed)
            if place >= len(tensors):
                others.append(Knob([(plan.site, neuron)], load))
            elif tensors[place] not in codes or plan.site.kind not in (Kind.PRODUCT, Kind.SYNAPSE):
                codes[tensors[place]] = Knob([(plan.site, neuron)], load)
            else:
                shared = codes[tensors[place]]
                shared.members.append((plan.site, neuron))
                shared.load = shared.load.joined(load)
    steps = [count for count in TIMESTEPS if count <= most_timesteps] or [most_timesteps]
    knobs = [*others, *codes.values()]
    for knob in tqdm(knobs, "fit", disable=None if progress else True, unit="neuron"):
        knob.candidates = worthwhile(candidate_of(knob, fitter, each) for each in _choices(knob, fitter, steps))
    return knobs


def candidate_of(knob: Knob, fitter: Fitter, settings: NeuronSettings) -> Candidate:
    """What `knob` is with `settings`."""
    site, neuron = knob.members[0]
    tensor = _tensor(knob, fitter)
    if tensor is not None:
        signal = fitter.signal(tensor)
        coding, spikes = fitter.code(tensor, settings)
        points, exact, weights = signal.points, signal.points, np.asarray(signal.weights)
    elif site.kind is Kind.FUNCTION:
        histogram = fitter.calibration.signed[site.inputs[0].name or ""]
        coding, spikes = fitter.function(site, settings)
        points, weights = histogram.points(), histogram.counts().astype(np.float64)
        exact = functions.get(str(site.function)).formula(points)
    else:
        function = functions.get(PRIMITIVES[f"{neuron}_"])
        coding, spikes = fitter.primitive(function.name, settings)
        points = np.linspace(*function.domain, MANTISSAS)
        exact = function.formula(points)
        weights = 1.0 / exact**2
    power = float(np.average(exact**2, weights=weights))
    error = float(np.average((coding.neuron(points) - exact) ** 2, weights=weights))
    return Candidate(settings, coding, spikes, error / power if power else 0.0)


def _tensor(knob: Knob, fitter: Fitter) -> CodedTensor | None:
    """The tensor that `knob` codes, if it is a code."""
    site, neuron = knob.members[0]
    tensors = coded_tensors(site, fitter.static)
    place = NEURONS[site.kind].index(neuron)
    return tensors[place] if place < len(tensors) else None


def _choices(knob: Knob, fitter: Fitter, steps: Sequence[int]) -> list[NeuronSettings]:
    """The settings that are tried for `knob`."""
    gate, headroom = fitter.config.gate, fitter.config.headroom
    tensor = _tensor(knob, fitter)
    if tensor is None:
        steps = [count for count in steps if count <= FUNCTION_TIMESTEPS] or steps[:1]
        return [NeuronSettings(timesteps, bases, gate, headroom) for timesteps in steps for bases in FUNCTION_BASES]
    narrow = not tensor.probabilities and headroom > NARROW_HEADROOM
    ranges = (headroom, NARROW_HEADROOM) if narrow else (headroom,)
    tried = [NeuronSettings(timesteps, None, gate, range_) for range_ in ranges for timesteps in steps]
    # Those that one of another number of steps betters are not built at all.
    codes = sorted((code for each in tried for code in _codes(tensor, fitter, each)), key=lambda code: code[:2])
    least = np.minimum.accumulate([math.inf, *(error for _, error, _ in codes)])
    return [settings for (_, error, settings), bound in zip(codes, least, strict=False) if error < bound]


def _codes(
    tensor: CodedTensor, fitter: Fitter, settings: NeuronSettings
) -> Iterator[tuple[float, float, NeuronSettings]]:
    """Spikes, error and settings of the codes of `tensor` that have the time steps and the range of `settings`."""
    signal, limit = fitter.signal(tensor), fitter.limit(tensor, settings)
    for lean in lean_front(signal, limit, settings):
        yield lean.spikes, lean.error, dataclasses.replace(settings, octaves=lean.octaves)
    if fitter.config.body is Body.CLOSED:
        return
    for greedy in greedy_front(signal, limit, settings):
        yield greedy.spikes, greedy.error, dataclasses.replace(settings, **greedy.steps.shape)


def worthwhile(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that nothing with fewer or as many spikes betters, from the cheapest to the most exact."""
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda each: (each.spikes, each.error)):
        if not front or candidate.error < front[-1].error:
            front.append(candidate)
    return front

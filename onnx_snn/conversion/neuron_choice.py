# SPDX-License-Identifier: Apache-2.0
"""The choice of the neurons of a conversion: the cheapest ones whose error at the output is within the budget.

The number of runs depends on the work of a run, so that the choice takes about as long for a large network as the rest
of its conversion. It does not depend on measured times, so that every machine chooses the same neurons.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import onnx_ir as ir

from onnx_snn.allocation.budget import Allocation, Budget
from onnx_snn.allocation.cost_model import ProductWork, observed_shapes, product_work
from onnx_snn.allocation.expected_gain import expected_gain
from onnx_snn.allocation.fit_sites import Fitter, supported_sites
from onnx_snn.allocation.knobs import Knob, knobs_of
from onnx_snn.allocation.plan import Coding, SitePlan
from onnx_snn.allocation.shared_trials import SharedTrials
from onnx_snn.allocation.trial_network import TrialNetwork
from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.calibrated_sites import CalibratedSites
from onnx_snn.conversion.coverage import Coverage
from onnx_snn.conversion.examination import CACHES, Examined
from onnx_snn.conversion.function_library import attach
from onnx_snn.conversion.rewriter import rewrite
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.conversion.selection import resolve
from onnx_snn.data.feeds import Feeds
from onnx_snn.data.specs import Feed, sample_count
from onnx_snn.evaluation.switched_model import SwitchedModel
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.profiling.gain import Gain
from onnx_snn.rules.site import Site

logger = logging.getLogger(__name__)

PROBE_WORK = 1.2e12
"""Multiply-accumulates of all runs that measure sensitivities: about 12 seconds on two cores."""

TRIAL_WORK = 1e11
"""Multiply-accumulates of one measurement of the error at the output: about a second on two cores."""

TRIAL_SAMPLES = range(2, 65)
"""Numbers of samples on which the error at the output can be measured."""


@dataclass(frozen=True)
class Knobs:
    """The neurons of an examined network with their candidates.

    Attributes:
        sites: the sites that can be converted.
        refused: the other sites, with the reason.
        knobs: the neurons of `sites`.
        products: multiply-accumulates of the network.
    """

    sites: list[Site]
    refused: dict[Site, str]
    knobs: list[Knob]
    products: ProductWork


@dataclass(frozen=True)
class ChosenNeurons:
    """Neurons of a network, for every copy of it.

    Attributes:
        codings: the neurons of each site, by the index of the site among all sites that were recognised.
        refused: reasons of the sites that cannot be converted, by their index.
        allocation: what was chosen from, and the error that was measured; None where there was nothing to choose.
        gain: spikes and energy by calibrated spikes.
    """

    codings: Mapping[int, Mapping[NeuronRole, Coding]]
    refused: Mapping[int, str]
    allocation: Allocation | None
    gain: Gain

    @property
    def error(self) -> float | None:
        """Relative error at the output that was measured; None where there was nothing to choose."""
        return None if self.allocation is None else self.allocation.error

    def plans(self, coverage: Coverage) -> tuple[list[SitePlan], dict[Site, str]]:
        """Plans for the sites of a copy of the network, and reasons for those that cannot be converted."""
        sites = list(enumerate(coverage.recognition.sites))
        plans = [SitePlan(site, self.codings[i]) for i, site in sites if i in self.codings]
        return plans, {site: self.refused[i] for i, site in sites if i in self.refused}


def find_knobs(examined: Examined, calibrated: CalibratedSites, fitter: Fitter, *, progress: bool) -> Knobs:
    """The neurons of an examined network, with their candidates.

    Raises:
        ModelError: no site can be converted.
    """
    coverage = examined.coverage
    sites, refused = supported_sites(coverage.selected, fitter)
    coverage.refused |= refused
    coverage.check_any()
    paths = list(calibrated.paths.values())
    shapes, samples = observed_shapes(examined.model, sites, paths), sample_count(paths[0])
    knobs = knobs_of(sites, fitter, shapes, samples, progress=progress)
    return Knobs(sites, refused, knobs, product_work(examined.model, sites, shapes, samples))


def trial_network(model: ir.Model, found: Knobs) -> TrialNetwork:
    """The network `model`, which is rewritten in place, with any candidates of its knobs."""
    reference = model.clone()
    outputs = {site: str(site.output.name) for site in found.sites}
    plans = plans_of(found.sites, {id(knob): knob.candidates[-1].coding for knob in found.knobs}, found.knobs)
    attach(model, plans, rewrite(model, plans), ConvertConfig())
    return TrialNetwork(SwitchedModel(reference, model, adjustable=True), found.knobs, outputs)


def plans_of(sites: Iterable[Site], codings: Mapping[int, Coding], knobs: Iterable[Knob]) -> list[SitePlan]:
    """Plans of `sites` with a neuron for each knob, by the knob's identity."""
    neurons: dict[Site, dict[NeuronRole, Coding]] = {site: {} for site in sites}
    for knob in knobs:
        for site, role in knob.members:
            neurons[site][role] = codings[id(knob)]
    return [SitePlan(site, {role: chosen[role] for role in site.roles}) for site, chosen in neurons.items()]


def choose_neurons(
    examined: Examined, calibrated: CalibratedSites, fitter: Fitter, feeds: Feeds, run: RunOptions
) -> ChosenNeurons:
    """Choose the neurons of a network, whose model is rewritten on the way; the workers of `run` do the runs.

    Raises:
        ConfigError: settings of single nodes name a neuron that a site does not have.
        ModelError: no site can be converted.
        CalibrationError: a run fails.
    """
    coverage, config = examined.coverage, fitter.config
    numbers = {site: i for i, site in enumerate(coverage.recognition.sites)}
    fitter = fitter.within(None, resolve(coverage.recognition.sites, config))
    found = find_knobs(examined, calibrated, fitter, progress=run.progress)
    candidates, allocation = [knob.candidates[-1] for knob in found.knobs], None
    if any(len(knob.candidates) > 1 for knob in found.knobs):
        work = max(found.products.original, 1.0)
        trial_feeds = _trial_feeds(
            calibrated, feeds, int(min(max(TRIAL_WORK / work, TRIAL_SAMPLES[0]), TRIAL_SAMPLES[-1]))
        )
        allocation = _allocation(examined.model, found, trial_feeds, config.error_budget, run)
        candidates = allocation.choice
    codings = {id(knob): one.coding for knob, one in zip(found.knobs, candidates, strict=True)}
    plans = plans_of(found.sites, codings, found.knobs)
    refused = {numbers[site]: why for site, why in found.refused.items()}
    gain = expected_gain(found.knobs, candidates, found.products)
    return ChosenNeurons({numbers[plan.site]: plan.neurons for plan in plans}, refused, allocation, gain)


def _allocation(model: ir.Model, found: Knobs, feeds: Sequence[Feed], max_error: float, run: RunOptions) -> Allocation:
    """The cheapest neurons within the budget."""
    with ExitStack() as stack:
        reference = None if run.workers is None else model.clone()
        network, shared = trial_network(model, found), None
        if run.workers is not None and reference is not None:
            shared = SharedTrials(run.workers, reference, model, network.idle, feeds, stack)
        names = judged_outputs(network.outputs)
        budget = Budget(network, feeds, names, max_error, progress=run.progress, shared=shared)
        return budget.allocate(int(PROBE_WORK / max(found.products.original, 1.0)))


def judged_outputs(names: Sequence[str]) -> list[str]:
    """The outputs whose errors count: all but those of a key/value cache, if there are others."""
    return [name for name in names if not name.startswith(CACHES)] or list(names)


def _trial_feeds(calibrated: CalibratedSites, feeds: Feeds, samples: int) -> list[Feed]:
    """Feeds with about `samples` samples, of every execution path; whole feeds where these are not larger."""
    taken: list[Feed] = []
    paths = list(calibrated.paths.values()) if len(calibrated.paths) > 1 else []
    for feed in itertools.chain(paths, feeds):
        free = samples - sum(map(sample_count, taken))
        if free <= 0 and len(taken) >= len(paths):
            break
        parts = [feed] if sample_count(feed) <= max(free, 1) else feeds.split(feed)
        taken += itertools.islice(parts, max(free, 1))
    return taken

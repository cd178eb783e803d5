# SPDX-License-Identifier: Apache-2.0
"""The calibration stage of a conversion: runs of the network on real data, and the statistics that its sites need."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from onnx_snn.calibration.branches import ExecutionPath, execution_paths, running, untaken
from onnx_snn.calibration.cache import cache_key, load_cache, save_cache
from onnx_snn.calibration.fixed_sizes import static_axes
from onnx_snn.calibration.iterations import changing_shape
from onnx_snn.calibration.observations import StaticAxes, observations, observed_model
from onnx_snn.calibration.statistics import Calibration, calibrate
from onnx_snn.calibration.whole_feeds import keep_whole
from onnx_snn.conversion.coverage import Coverage
from onnx_snn.conversion.decoder_feeds import DecoderFeeds
from onnx_snn.conversion.examination import Examined
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.data.feeds import Feeds, Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs
from onnx_snn.errors import CalibrationError, ModelError
from onnx_snn.graph.custom_libraries import libraries_of
from onnx_snn.graph.domains import MICROSOFT, MICROSOFT_BLOCKED
from onnx_snn.rules.rule import name_of
from onnx_snn.rules.site import MatmulSite
from onnx_snn.runtime.finite_outputs import JudgeOfModel

VERIFY_SAMPLES = 16
"""Number of calibration samples on which the error of the conversion is measured, one at a time. They suffice for its
order of magnitude, and one sample at a time saves memory: function bodies hold N numbers for each element."""

VERIFY_WEIGHTS = 1 << 27
"""Largest product of verified samples and weights of the network. Large networks, whose outputs have many elements, are
verified on fewer samples than `VERIFY_SAMPLES`."""

_RUNNABLE_DOMAINS = frozenset(
    (
        "",
        "ai.onnx",
        "ai.onnx.ml",
        "ai.onnx.preview.training",
        "ai.onnx.training",
        MICROSOFT,
        MICROSOFT_BLOCKED,
        "org.pytorch.aten",
    )
)
"""Operator domains that onnxruntime itself implements."""


@dataclass(frozen=True)
class CalibratedSites:
    """Calibration results for the sites of a network.

    Attributes:
        static: axes of fixed size of each matmul operand.
        calibration: histograms of the coded tensors and function arguments.
        paths: the first feed of each execution path.
        unobserved: reasons to refuse sites that calibration cannot observe, by the names of their outputs.
    """

    static: StaticAxes
    calibration: Calibration
    paths: Mapping[ExecutionPath, Feed]
    unobserved: Mapping[str, str]

    def refuse_unobserved(self, coverage: Coverage) -> None:
        """Refuse what calibration cannot observe, in the coverage of any copy of the network."""
        names = {site: str(site.output.name) for site in coverage.selected}
        coverage.refused |= {site: self.unobserved[name] for site, name in names.items() if name in self.unobserved}

    def verified_feeds(self, feeds: Feeds, original: ir.Model) -> Iterator[Feed]:
        """The first samples of `feeds`, for the comparison with `original`; an equal share of each execution path."""
        count = _verified_samples(original)
        if len(self.paths) == 1:
            return itertools.islice(feeds.singles(), count)
        share = math.ceil(count / len(self.paths))
        return itertools.chain.from_iterable(itertools.islice(feeds.split(feed), share) for feed in self.paths.values())


def open_calibration(examined: Examined, data: Source | None, run: RunOptions) -> Feeds:
    """The calibration data of a model, checked against its inputs.

    Raises:
        ModelError: onnxruntime does not know one of its operators.
        CalibrationError: data is missing or does not fit the model.
    """
    _check_runnable(examined.model, examined.coverage.source)
    if data is None:
        raise CalibrationError("calibration data is missing; give real inputs of the network, such as an .npz file")
    # Decoding gives several feeds for each sample, so the number of samples does not limit the feeds.
    samples = None if isinstance(data, DecoderFeeds) else run.samples
    options: dict[str, Any] = {"batch_size": run.batch_size, "max_samples": samples, "evenly": True}
    feeds = open_feeds(data, input_specs(examined.model), judge=JudgeOfModel(examined.model), **options)
    keep_whole(examined.model, feeds)
    return feeds


def calibrate_sites(examined: Examined, feeds: Feeds, run: RunOptions) -> CalibratedSites:
    """Calibrate the sites of a network on `feeds`, or from the cache of `run`; sites on no execution path are refused.

    Raises:
        ModelError: no site is left.
        CalibrationError: the model fails on the data, or the cache does not fit.
    """
    model, coverage = examined.model, examined.coverage
    paths = execution_paths(model, coverage.selected, feeds)
    reasons = untaken(coverage.selected, paths, model)
    coverage.refused |= reasons
    reasons |= changing_shape(model, coverage.selected, paths.values())
    coverage.refused |= reasons
    coverage.check_any()
    unobserved = {str(site.output.name): why for site, why in reasons.items()}
    static = _static_axes(model, coverage, paths, feeds)
    observed, needed = observed_model(model, coverage.selected, static), observations(coverage.selected, static)
    if not needed:  # softmax alone: arguments of its neurons are mantissas, whose range is fixed
        return CalibratedSites(static, Calibration(), paths, unobserved)
    key = None if run.cache is None else cache_key(observed, needed, feeds)
    if key is not None and Path(str(run.cache)).exists():
        return CalibratedSites(static, load_cache(str(run.cache), key), paths, unobserved)
    typical = list(paths.values())
    calibration = calibrate(observed, needed, feeds, typical=typical, progress=run.progress, workers=run.workers)
    if key is not None:
        save_cache(calibration, str(run.cache), key)
    return CalibratedSites(static, calibration, paths, unobserved)


def _static_axes(model: ir.Model, coverage: Coverage, paths: Mapping[ExecutionPath, Feed], feeds: Feeds) -> StaticAxes:
    """The axes of fixed size of every matmul operand; its channel axes are chosen among them."""
    static = StaticAxes(model)
    for path, feed in paths.items():
        matmuls = [site for site in running(coverage.selected, path, model) if isinstance(site, MatmulSite)]
        operands = {value.name or "" for site in matmuls for value in site.inputs} - static.keys()
        if operands:
            static |= static_axes(model, sorted(operands), feed, feeds if len(paths) == 1 else ())
    return static


def _verified_samples(model: ir.Model) -> int:
    """Number of samples to verify, from 1 to `VERIFY_SAMPLES`: the fewer, the more weights `model` has."""
    return max(1, min(VERIFY_SAMPLES, VERIFY_WEIGHTS // max(1, weight_count(model))))


def weight_count(model: ir.Model) -> int:
    """Number of elements of the initializers of the main graph."""
    tensors = [value.const_value for value in model.graph.initializers.values() if value.const_value is not None]
    return sum(tensor.size for tensor in tensors)


def _check_runnable(model: ir.Model, name: str) -> None:
    """Raise `ModelError` for a node that onnxruntime cannot run, of the model that messages call `name`.

    What operators the libraries of a model have is not known; onnxruntime tells when it loads the model.
    """
    if libraries_of(model):
        return
    for node in model.graph.all_nodes():
        if node.domain not in _RUNNABLE_DOMAINS and node.op_identifier() not in model.functions:
            raise ModelError(
                f"{name}: calibration cannot run node {name_of(node)!r}: onnxruntime knows no operator "
                f"{node.domain}.{node.op_type}; convert the model without it, give the library that defines it "
                "(custom_ops, --custom-ops), or define it as a function of the model"
            )

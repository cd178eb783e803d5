# SPDX-License-Identifier: Apache-2.0
"""The calibration of a conversion: runs of the network on real data, and what its sites need to know of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from onnx_snn.calibration.branches import ExecutionPath, execution_paths, running, untaken
from onnx_snn.calibration.fixed_sizes import static_axes
from onnx_snn.calibration.observations import StaticAxes, observations, observed_model
from onnx_snn.calibration.statistics import Calibration, calibrate, load_cache
from onnx_snn.conversion.coverage import Coverage
from onnx_snn.conversion.decoder_feeds import DecoderFeeds
from onnx_snn.conversion.examination import Examined
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.data.feeds import Feeds, Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs
from onnx_snn.errors import CalibrationError, ModelError
from onnx_snn.graph.domains import MICROSOFT
from onnx_snn.rules.rule import name_of
from onnx_snn.rules.site import MatmulSite

VERIFY_SAMPLES = 16
"""Calibration samples on which the error is measured, one at a time: enough for its magnitude, and small in memory,
where the functions inside the file hold N numbers for each element."""

VERIFY_WEIGHTS = 1 << 27
"""Most weights over all those samples: of a large network, whose many elements tell as much, fewer samples are
measured."""

_RUNNABLE_DOMAINS = frozenset(
    (
        "",
        "ai.onnx",
        "ai.onnx.ml",
        "ai.onnx.preview.training",
        "ai.onnx.training",
        MICROSOFT,
        "org.pytorch.aten",
    )
)
"""Domains of which onnxruntime brings operators; those of custom operator libraries are not loaded here."""


@dataclass(frozen=True)
class CalibratedSites:
    """What calibration tells of the sites of a network.

    Attributes:
        static: which axes of the operands of products have a fixed size.
        calibration: what the tensors hold.
        paths: the first feed of each execution path.
    """

    static: StaticAxes
    calibration: Calibration
    paths: Mapping[ExecutionPath, Feed]

    def verified_feeds(self, feeds: Feeds, original: ir.Model) -> Iterator[Feed]:
        """The first samples of `feeds` on which `original` is compared; of several execution paths, some of each."""
        count = _verified_samples(original)
        if len(self.paths) == 1:
            return itertools.islice(feeds.singles(), count)
        share = -(-count // len(self.paths))
        return itertools.chain.from_iterable(itertools.islice(feeds.split(feed), share) for feed in self.paths.values())


def open_calibration(examined: Examined, data: Source | None, run: RunOptions) -> Feeds:
    """The calibration data of a model that can be run.

    Raises:
        ModelError: onnxruntime does not know one of its operators.
        CalibrationError: data is missing or does not fit the model.
    """
    _check_runnable(examined.model, examined.coverage.source)
    if data is None:
        raise CalibrationError("calibration data is missing; give real inputs of the network, as an .npz say")
    # What is decoded from few samples is more than that many feeds.
    samples = None if isinstance(data, DecoderFeeds) else run.samples
    return open_feeds(data, input_specs(examined.model), batch_size=run.batch_size, max_samples=samples)


def calibrate_sites(examined: Examined, feeds: Feeds, run: RunOptions) -> CalibratedSites:
    """Observe the sites of a network on `feeds`, or read what the cache of `run` holds; those not seen are refused.

    Raises:
        ModelError: no site is left.
        CalibrationError: the model fails on the data, or the cache does not fit.
    """
    model, coverage = examined.model, examined.coverage
    paths = execution_paths(model, coverage.wanted, feeds)
    refuse_untaken(examined, paths)
    coverage.check_any()
    static = _static_axes(model, coverage, paths)
    observed, needed = observed_model(model, coverage.wanted, static), observations(coverage.wanted, static)
    if not needed:  # softmax alone: its neurons see mantissas, whatever the data
        return CalibratedSites(static, Calibration(""), paths)
    if run.cache is not None and Path(run.cache).exists():
        return CalibratedSites(static, load_cache(run.cache, observed, needed), paths)
    cached, typical = run.cache is not None, list(paths.values())
    seen = calibrate(observed, needed, feeds, typical=typical, cached=cached, progress=run.progress)
    if run.cache is not None:
        seen.save_cache(run.cache)
    return CalibratedSites(static, seen, paths)


def refuse_untaken(examined: Examined, paths: Mapping[ExecutionPath, Feed]) -> None:
    """Refuse the sites that lie on none of the execution `paths`."""
    examined.coverage.refused |= untaken(examined.coverage.wanted, paths, examined.model)


def _static_axes(model: ir.Model, coverage: Coverage, paths: Mapping[ExecutionPath, Feed]) -> StaticAxes:
    """Which axes of the operands of products have a fixed size: their channel axes depend on it."""
    static = StaticAxes(model)
    for path, feed in paths.items():
        products = (site for site in running(coverage.wanted, path, model) if isinstance(site, MatmulSite))
        operands = {value.name or "" for site in products for value in site.inputs} - static.keys()
        static |= static_axes(model, sorted(operands), feed) if operands else {}
    return static


def _verified_samples(model: ir.Model) -> int:
    tensors = [value.const_value for value in model.graph.initializers.values() if value.const_value is not None]
    return max(1, min(VERIFY_SAMPLES, VERIFY_WEIGHTS // max(1, sum(tensor.size for tensor in tensors))))


def _check_runnable(model: ir.Model, name: str) -> None:
    """Refuse a model that calibration cannot run."""
    for node in model.graph.all_nodes():
        if node.domain not in _RUNNABLE_DOMAINS and node.op_identifier() not in model.functions:
            raise ModelError(
                f"{name}: calibration cannot run node {name_of(node)!r}: onnxruntime knows no operator "
                f"{node.domain}.{node.op_type}; convert the model without it, or define it as a function "
                "of the model"
            )

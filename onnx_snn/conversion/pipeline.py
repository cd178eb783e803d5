# SPDX-License-Identifier: Apache-2.0
"""Conversion of one model or of an Optimum folder, stage by stage.

1. load        the original, checked
2. decompose   functions and fused operators into standard operators
3. recognise   the sites that spiking ops can replace, and selection of those to convert; functions and fused
               operators without any stay in one piece
4. calibrate   ranges and histograms of their tensors, on real data
5. choose      the neurons of every site: the cheapest whose error at the output is within the budget
6. rewrite     the graph, a fresh copy of it, and attach the functions that define the new ops
7. verify      invariants, and the error against the original
8. save        in one step, so that no partial file is left behind
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from onnx_snn.allocation.fit_sites import Fitter
from onnx_snn.allocation.plan import SitePlan
from onnx_snn.calibration.ranks import forget_ranks
from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.advice import costly_nodes
from onnx_snn.conversion.calibrated_sites import (
    CalibratedSites,
    calibrate_sites,
    open_calibration,
    weight_count,
)
from onnx_snn.conversion.coverage import Coverage
from onnx_snn.conversion.destination import check_destination
from onnx_snn.conversion.examination import (
    Examined,
    examine,
    examine_on_data,
    for_network,
    load_original,
    name_of_source,
)
from onnx_snn.conversion.folder import Configurations, check_for_file, convert_folder
from onnx_snn.conversion.folder_layout import Layout
from onnx_snn.conversion.function_library import attach, closed_body_copy, have_closed_forms
from onnx_snn.conversion.fused_reference import reference_note
from onnx_snn.conversion.inlining import inlined
from onnx_snn.conversion.neuron_choice import choose_neurons
from onnx_snn.conversion.neuron_rules import PlansOf, by_rule
from onnx_snn.conversion.precision import single_precision_error
from onnx_snn.conversion.report import ConversionReport, OutputReport
from onnx_snn.conversion.rewriter import rewrite
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.conversion.silent_data import silent_inputs_warning
from onnx_snn.conversion.stopwatch import Stopwatch
from onnx_snn.conversion.thin_data import held_back_error
from onnx_snn.conversion.upgrade_check import Upgrade, checked_upgrade, upgrade_of
from onnx_snn.conversion.verification import Comparison, check_invariants, check_valid, measure
from onnx_snn.data.data_files import with_model_folder
from onnx_snn.data.feeds import Source
from onnx_snn.data.specs import Feed
from onnx_snn.errors import ConfigError, ModelError
from onnx_snn.evaluation.range_guard import Guard, add_guard
from onnx_snn.graph.custom_libraries import check_libraries
from onnx_snn.graph.model_reader import ModelSource
from onnx_snn.graph.model_writer import save_model
from onnx_snn.neurons.opset import Body, Precision
from onnx_snn.profiling.gain import measured_gain
from onnx_snn.workers.shards import ExecutorLike, Workers

PROFILED_SAMPLES = 4
"""Number of calibration samples on which the spikes of the network are counted for its report."""

PROFILED_WEIGHTS = 1 << 25
"""Number of weights from which spikes are not counted for the report, as the run would take another copy of them: the
spikes that calibration lets expect are reported instead."""


def convert(
    model: ModelSource,
    output: str | Path | None = None,
    calibration: Source | None = None,
    *,
    config: ConvertConfig | Configurations | None = None,
    calibration_cache: str | Path | None = None,
    calibration_samples: int | None = None,
    batch_size: int = 8,
    dry_run: bool = False,
    progress: bool = True,
    custom_ops: Sequence[str | Path] = (),
    layout: Layout | str = Layout.OPTIMUM,
    executor: ExecutorLike = None,
    **options: Any,
) -> ConversionReport:
    """Convert a pretrained network into a spiking one.

    Args:
        model: path of an .onnx file or an Optimum folder, `ModelProto` or `onnx_ir.Model`; it is not edited.
        output: .onnx file to write (a folder where `model` is one); its folder must exist.
        calibration: real inputs: a `CalibrationDataReader`, an iterable of feeds (dicts from input name to
            array), a dict of arrays with one per model input (first axis: samples), or the path of such data, or of
            images, texts, recordings or tables (`DataFiles` names what these need beside the model). For a folder of
            several models, a dict from file name to such a source, or a folder with NAME.npz for each NAME.onnx;
            decoders may be left out where the encoder has data.
        config: options; alternatively give the fields of `ConvertConfig` as keywords, such as `timesteps=4`. For a
            folder also a dict from file name to options.
        calibration_cache: .npz file with the calibration histograms; read when it exists, else written.
        calibration_samples: use at most this many samples, drawn evenly over the data; all by default.
        batch_size: samples in one run during calibration.
        dry_run: stop after selection and report what would be converted: needs no data and writes nothing.
        progress: show progress bars on a terminal.
        custom_ops: libraries of custom operators that the model needs, as onnxruntime registers them.
        layout: where the models of a folder are written: beside its other files, or for transformers.js in `onnx/`.
        executor: who runs the network: any executor of `concurrent.futures`, or `Workers`; this process by default.
        **options: fields of `ConvertConfig`, when `config` is not given.

    Returns:
        What was converted, what was not and why, and the error on calibration samples.

    Raises:
        ConfigError: an option is invalid, or a name matches no node.
        ModelError: the model cannot be read, or nothing in it can be converted; with `strict`, not all of it.
        CalibrationError: the data does not fit the model, is empty or is not finite.
        OutputError: the output cannot be written.
        LibraryError: onnxruntime cannot load the library with the kernels, or one of `custom_ops`.
        WorkerError: workers of `executor` are lost twice with the same work, or cannot be given it.
    """
    if not isinstance(model, (str, os.PathLike, onnx.ModelProto, ir.Model)):
        raise ModelError(f"model is a {type(model).__name__}; expected a path, a ModelProto or an onnx_ir.Model")
    configs = config if isinstance(config, Mapping) else None
    common = _config(None if isinstance(config, Mapping) else config, options)
    check_libraries(custom_ops)
    cache, samples, how = calibration_cache, calibration_samples, (Layout.of(layout), Workers.of(executor))
    run = RunOptions(common, cache, samples, batch_size, dry_run, progress, tuple(custom_ops), *how)
    if isinstance(model, (str, os.PathLike)) and Path(model).is_dir():
        return convert_folder(Path(model), output, calibration, run, _convert_file, configs)
    check_for_file(configs, run)
    return convert_model(model, output, calibration, run=run)


def _config(config: ConvertConfig | None, options: dict[str, Any]) -> ConvertConfig:
    """`config`, or one made of the keyword arguments `options`."""
    if config is not None and options:
        raise ConfigError(f"give either config or the options {sorted(options)}, not both")
    return config or ConvertConfig.from_json(options)


def _convert_file(file: Path, output: Path | None, data: Source | None, run: RunOptions) -> ConversionReport:
    """`convert_model` as folders call it."""
    return convert_model(file, output, data, run=run)


def convert_model(
    source: ModelSource, output: str | Path | None, data: Source | None, *, run: RunOptions
) -> ConversionReport:
    """Convert one model; arguments and errors as of `convert`."""
    stopwatch = Stopwatch()
    if not run.dry_run:
        check_destination(output, source, [data], run)
    original = load_original(source, stopwatch, run.custom_ops)
    config = for_network(run.config, original)
    examined = examine(original, name_of_source(source), config, stopwatch)
    if run.dry_run:
        examined.coverage.check_any()
        examined.coverage.plans = [SitePlan(site) for site in examined.coverage.selected]
        return _with_upgrade(examined.coverage.report(None, config, stopwatch.seconds), upgrade_of(original))
    feeds = open_calibration(examined, with_model_folder(data, source), run)
    examined = examine_on_data(original, examined, feeds, config, stopwatch)
    with stopwatch("calibrate"):
        calibrated = calibrate_sites(examined, feeds, run)
    fitter = Fitter.of(examined.coverage.selected, calibrated.calibration, calibrated.static, config)
    verified = list(calibrated.verified_feeds(feeds, original))
    upgrade = checked_upgrade(source, original, verified)
    networks = _examined_copies(examined, original, calibrated, config, stopwatch)

    def converted_with(plans: PlansOf) -> Converted:
        return _converted(next(networks), original, plans, config, verified, stopwatch)

    error = gain = None
    if config.allocates:
        with stopwatch("choose"):
            chosen = choose_neurons(next(networks), calibrated, fitter, feeds, run)
        converted, error, gain = converted_with(chosen.plans), chosen.error, chosen.gain
    else:
        converted = by_rule(converted_with, fitter)
    with stopwatch("save"):
        guard = _save(converted.model, original, str(output), config)
    single: tuple[OutputReport, ...] = ()
    if config.precision is Precision.SINGLE:
        with stopwatch("single"):
            body = Body.CLOSED if have_closed_forms(converted.coverage.plans) else Body.LOOP
            single = single_precision_error(converted.model, verified, body)
    if weight_count(original) < PROFILED_WEIGHTS:
        with stopwatch("profile"):
            gain = measured_gain(converted.model, verified[:PROFILED_SAMPLES]) or gain
    samples, comparison = calibrated.calibration.samples, converted.comparison
    report = converted.coverage.report(str(output), config, stopwatch.seconds, comparison, samples, error, gain)
    report = dataclasses.replace(_with_upgrade(report, upgrade), guard=guard, single=single)
    if weight_count(original) >= PROFILED_WEIGHTS:
        return report
    with stopwatch("advise"):
        held = None
        if config.allocates and len(calibrated.paths) == 1:
            held = held_back_error(next(networks), original, feeds, samples, config)
        costly = costly_nodes(converted.decomposed, converted.model, verified, report)
        fused = reference_note(original, verified[:PROFILED_SAMPLES])
    silent = silent_inputs_warning(calibrated.calibration, feeds)
    warnings = (silent, *costly, held.warning() if held is not None else "", fused)
    return dataclasses.replace(
        report, held_back=held, warnings=tuple(filter(None, warnings)), seconds=stopwatch.seconds
    )


def _save(model: ir.Model, original: ir.Model, output: str, config: ConvertConfig) -> Guard | None:
    """Write the network, inlined and with a range guard where `config` asks for it; the guard is returned."""
    guard = None
    if config.guard:
        model = model.clone()
        guard = add_guard(model, config.precision)
    if config.inline:
        model = inlined(model, config.body, config.precision)
    if config.guard or config.inline:
        check_valid(model, original)
    save_model(model, output)
    return guard


def _with_upgrade(report: ConversionReport, upgrade: Upgrade | None) -> ConversionReport:
    """`report` with what was done to an old opset."""
    return report if upgrade is None else dataclasses.replace(report, upgrade=upgrade.text())


def _examined_copies(
    examined: Examined, original: ir.Model, calibrated: CalibratedSites, config: ConvertConfig, stopwatch: Stopwatch
) -> Iterator[Examined]:
    """`examined`, then further examined copies of `original`: every attempt rewrites its copy in place."""
    name, ranks = examined.coverage.source, examined.ranks
    yield examined
    while True:
        copy = examine(original, name, config, stopwatch, ranks)
        calibrated.refuse_unobserved(copy.coverage)
        yield copy


@dataclass(frozen=True)
class Converted:
    """A spiking network that has been verified.

    Attributes:
        model: the network.
        coverage: the state of every nonlinear node of the original.
        comparison: its error against the original.
        decomposed: the original, with the fused operators written out of which sites are converted.
    """

    model: ir.Model
    coverage: Coverage
    comparison: Comparison
    decomposed: ir.Model


def _converted(
    examined: Examined,
    original: ir.Model,
    plans: PlansOf,
    config: ConvertConfig,
    verified: Sequence[Feed],
    stopwatch: Stopwatch,
) -> Converted:
    """Plan, rewrite and verify an examined network, in place."""
    model, coverage = examined.model, examined.coverage
    with stopwatch("fit"):
        coverage.plans, refused = plans(coverage)
        coverage.refused |= refused
        coverage.check_any()
        if config.strict:
            coverage.check_complete()
    decomposed = model.clone()
    with stopwatch("rewrite"):
        attach(model, coverage.plans, rewrite(model, coverage.plans, config.precision), config)
        forget_ranks(model, examined.ranks)
    with stopwatch("verify"):
        check_invariants(original, model)
        check_valid(model, original)
        taps = [coverage.outputs[plan.site] for plan in coverage.plans]
        reference = original if coverage.decomposed else decomposed
        fast = closed_body_copy(model, coverage.plans)
        comparison = measure(reference, fast, verified, taps, decomposed=decomposed)
    return Converted(model, coverage, comparison, decomposed)

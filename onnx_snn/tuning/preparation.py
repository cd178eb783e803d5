# SPDX-License-Identifier: Apache-2.0
"""The preparation of tuning: a calibrated network and the candidates for its neurons."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple

import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.allocation.fit_sites import Fitter
from onnx_snn.config.convert_config import ConvertConfig, Preset
from onnx_snn.conversion.calibrated_sites import calibrate_sites, open_calibration
from onnx_snn.conversion.examination import examine, examine_on_data, load_original
from onnx_snn.conversion.neuron_choice import Knobs, find_knobs, trial_network
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.conversion.stopwatch import Stopwatch
from onnx_snn.data.data_files import with_model_folder
from onnx_snn.data.feeds import Feeds, Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs, sample_count
from onnx_snn.errors import ConfigError
from onnx_snn.evaluation.comparison import labelled, output_name, output_names
from onnx_snn.evaluation.metrics import METRICS, Metric, MetricLike, metric_of
from onnx_snn.runtime.finite_outputs import JudgeOfModel
from onnx_snn.tuning.trial_runner import TrialRunner

EVIDENCE = 512
"""Number of samples whose predictions tell how often the conversion flips one: ten flips of 2 %."""


class TuningData(NamedTuple):
    """The data on which the loss is measured; the fields are arguments of `tune`."""

    data: Source
    labels: NDArray[Any] | None = None
    metric: MetricLike | None = None
    output: str | None = None
    samples: int | None = None


class Prepared(NamedTuple):
    """A network before its neurons are chosen.

    Attributes:
        model: the network; its trial runner rewrites it in place.
        found: its neurons, with their candidates.
        batches: feeds and labels of the tuning data.
        output: name of the output that the metric compares.
        metric: the task metric.
        unlabelled: feeds of the calibration data that tell how often predictions flip, where few samples are labelled.
    """

    model: ir.Model
    found: Knobs
    batches: list[tuple[Feed, NDArray[Any] | None]]
    output: str
    metric: Metric
    unlabelled: list[Feed]

    def trial_runner(self, *, progress: bool) -> TrialRunner:
        """A runner of the network with any candidates of its knobs."""
        network = trial_network(self.model, self.found)
        data = self.batches, self.output, self.metric
        return TrialRunner(network, self.found.products, *data, unlabelled=self.unlabelled, progress=progress)


def prepare(
    run: RunOptions, model: str | Path, calibration: Source, tuning: TuningData, max_timesteps: int
) -> Prepared:
    """Calibrate a network and fit the candidates for its neurons.

    Args:
        run: options of the conversion.
        model: .onnx file.
        calibration: calibration data.
        tuning: data on which the loss is measured.
        max_timesteps: largest number of time steps of a candidate.

    Raises:
        ConfigError, ModelError, CalibrationError: as for `tune`.
    """
    _check_config(run.config)
    config = dataclasses.replace(run.config, timesteps=max_timesteps)
    stopwatch = Stopwatch()
    original = load_original(model, stopwatch, run.custom_ops)
    examined = examine(original, str(model), run.config, stopwatch)
    name = output_name([output_names(examined.model)] * 2, tuning.output)
    feeds = open_calibration(examined, with_model_folder(calibration, model), run)
    examined = examine_on_data(original, examined, feeds, run.config, stopwatch)
    network = examined.model
    judged = with_model_folder(tuning.data, model)
    options: dict[str, Any] = {"batch_size": run.batch_size, "max_samples": tuning.samples}
    batches = open_feeds(judged, input_specs(network), judge=JudgeOfModel(network), **options)
    labels = batches.labels_or(tuning.labels)
    metric = metric_of(tuning.metric, labels) or METRICS["agreement"]
    calibrated = calibrate_sites(examined, feeds, run)
    fitter = Fitter.of(examined.coverage.selected, calibrated.calibration, calibrated.static, config)
    found = find_knobs(examined, calibrated, fitter, progress=run.progress)
    data = list(labelled(batches, labels))
    separate = metric.needs_labels and metric.counts_decisions and not _same(tuning.data, calibration)
    unlabelled = _evidence(feeds, sum(sample_count(feed) for feed, _ in data)) if separate else []
    return Prepared(network, found, data, name, metric, unlabelled)


def _same(data: Source, calibration: Source) -> bool:
    """Whether both are the same data."""
    paths = isinstance(data, (str, os.PathLike)) and isinstance(calibration, (str, os.PathLike))
    return data is calibration or (paths and Path(data) == Path(calibration))  # type: ignore[arg-type]


def _evidence(feeds: Feeds, samples: int) -> list[Feed]:
    """The first of `feeds` that, with `samples` others, have about `EVIDENCE` samples."""
    taken: list[Feed] = []
    for feed in feeds:
        if samples >= EVIDENCE:
            break
        taken.append(feed)
        samples += sample_count(feed)
    return taken


def _check_config(config: ConvertConfig) -> None:
    if config.preset is Preset.PAPER:
        raise ConfigError(
            "preset 'paper' cannot be tuned, as its neurons have fixed numbers of bases; use preset 'default'"
        )
    if config.nodes:
        raise ConfigError(
            "the configuration has settings for single nodes (nodes), which tuning determines; leave them out"
        )

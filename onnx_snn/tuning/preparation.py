# SPDX-License-Identifier: Apache-2.0
"""What tuning needs before its first trial: a calibrated network, and all that its neurons can be."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.config.convert_config import ConvertConfig, Preset
from onnx_snn.conversion.calibrated_sites import calibrate_sites, open_calibration
from onnx_snn.conversion.examination import examine, load_original
from onnx_snn.conversion.fit_sites import Fitter, fit_sites
from onnx_snn.conversion.plan import SitePlan
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.conversion.stopwatch import Stopwatch
from onnx_snn.data.feeds import Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs
from onnx_snn.errors import ConfigError
from onnx_snn.evaluation.comparison import labelled, labels_of, output_name, output_names
from onnx_snn.evaluation.metrics import METRICS, Metric, MetricLike, metric_of
from onnx_snn.rules.site import Site
from onnx_snn.tuning.cost_model import ProductWork, observed_shapes, product_work
from onnx_snn.tuning.search_space import Knob, knobs_of
from onnx_snn.tuning.trial_runner import TrialRunner


class TuningData(NamedTuple):
    """What the loss is measured on, as `tune` takes it."""

    data: Source
    labels: NDArray[Any] | None = None
    metric: MetricLike | None = None
    output: str | None = None
    samples: int | None = None


class Prepared(NamedTuple):
    """A network before its neurons are chosen.

    Attributes:
        model: the network; its trial runner rewrites it.
        plans: its sites, with any neurons.
        knobs: the neurons that are chosen apart.
        products: its multiply-accumulates.
        fitter: what fits them, until the trial runner is there.
        batches: the tuning data, feeds and labels.
        output: output that is judged.
        metric: the task metric.
    """

    model: ir.Model
    plans: list[SitePlan]
    knobs: list[Knob]
    products: ProductWork
    fitter: Fitter
    batches: list[tuple[Feed, NDArray[Any] | None]]
    output: str
    metric: Metric

    def trial_runner(self, *, progress: bool) -> TrialRunner:
        """What runs the network with any neurons."""
        judged = self.batches, self.output, self.metric
        return TrialRunner(self.model, self.plans, self.knobs, self.products, *judged, progress=progress)


def prepare(
    run: RunOptions, model: str | Path, calibration: Source, judged: TuningData, max_timesteps: int
) -> Prepared:
    """Calibrate a network and fit all that its neurons can be.

    Raises:
        ConfigError, ModelError, CalibrationError: as `tune`.
    """
    _check_config(run.config)
    labels = labels_of(judged.data) if judged.labels is None else np.asarray(judged.labels)
    metric = metric_of(judged.metric, labels) or METRICS["agreement"]
    stopwatch = Stopwatch()
    examined = examine(load_original(model, stopwatch), str(model), run.config, stopwatch)
    network = examined.model
    name = output_name([output_names(network)] * 2, judged.output)
    feeds = open_calibration(examined, calibration, run)
    batches = open_feeds(judged.data, input_specs(network), batch_size=run.batch_size, max_samples=judged.samples)
    calibrated = calibrate_sites(examined, feeds, run)
    _refuse_branches(examined.coverage.selected, network.graph)
    fitter = Fitter.of(calibrated.calibration, calibrated.static, run.config)
    plans, _ = fit_sites(examined.coverage.selected, fitter)
    first, converted = feeds.first(), [plan.site for plan in plans]
    shapes = observed_shapes(network, converted, first)
    knobs = knobs_of(plans, fitter, shapes, first, max_timesteps, progress=run.progress)
    products = product_work(network, converted, shapes, first)
    return Prepared(network, plans, knobs, products, fitter, list(labelled(batches, labels)), name, metric)


def _refuse_branches(sites: Iterable[Site], graph: ir.Graph) -> None:
    for site in sites:
        if site.node.graph is not graph:
            raise ConfigError(f"{site.name} lies in a branch, where it cannot be tried apart; exclude it, then tune")


def _check_config(config: ConvertConfig) -> None:
    if config.preset is Preset.PAPER:
        raise ConfigError("preset 'paper' has neurons of its own; tune with preset 'default'")
    if config.nodes:
        raise ConfigError("the configuration has settings of single nodes; tuning makes them, so leave them out")

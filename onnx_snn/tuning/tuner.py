# SPDX-License-Identifier: Apache-2.0
"""The budget solver: the cheapest neurons with which a network keeps its accuracy.

1. Every neuron that can be chosen apart gets its candidates (`onnx_snn.tuning.search_space`).
2. Its *sensitivity* is measured: the network runs with this neuron alone spiking, at two candidates, and the distortion
   of the output tells what errors at this place cost. Of the other candidates it is interpolated by their errors.
3. Distortions of single neurons nearly add up. So for any price of distortion the best choice of all neurons is that of
   each apart, and the prices from low to high trace the Pareto front.
4. Choices along the front run for real on the tuning data, until the cheapest that meets the target is found.

Nothing is random, and the choice is written as a configuration with which `convert` gives the same file.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from onnx_snn.config.convert_config import ConvertConfig, Preset
from onnx_snn.config.node_settings import NodeSettings
from onnx_snn.conversion.fit_sites import Fitter, fit_sites
from onnx_snn.conversion.pipeline import Run, Stopwatch, check_destination, convert
from onnx_snn.conversion.plan import SitePlan
from onnx_snn.conversion.report import ConversionReport
from onnx_snn.data.feeds import Source, open_feeds
from onnx_snn.data.specs import Feed, input_specs
from onnx_snn.errors import ConfigError
from onnx_snn.evaluation.comparison import labelled, labels_of, output_name, output_names
from onnx_snn.evaluation.metrics import METRICS, Metric, MetricLike, metric_of
from onnx_snn.formatting import json_values, table
from onnx_snn.neurons.mbe import MAX_TIMESTEPS
from onnx_snn.profiling.uncounted import UncountedNode, note
from onnx_snn.rules.site import Kind, Site
from onnx_snn.tuning.cost_model import COSTS, ProductWork, observed_shapes, product_work
from onnx_snn.tuning.search_space import Knob, knobs_of
from onnx_snn.tuning.solver import Choice, Goal, Minimize, Solver, minimize_of
from onnx_snn.tuning.trial_runner import TuningPoint, Workbench


@dataclass(frozen=True)
class TuningReport:
    """Result of `onnx_snn.tune`.

    Attributes:
        config: what `convert` needs to give the same file.
        metric: the task metric.
        chosen: the choice that was written.
        front: choices that were run, from the cheapest to the most exact; none is bettered by another.
        spikes: spikes per element of the choice by kind of neuron.
        conversion: the report of the conversion.
        uncounted: nodes whose work is not in the energy.
    """

    config: ConvertConfig
    metric: str
    chosen: TuningPoint
    front: tuple[TuningPoint, ...]
    spikes: Mapping[str, float]
    conversion: ConversionReport
    uncounted: tuple[UncountedNode, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "config": self.config.to_json(),
            "metric": self.metric,
            "chosen": json_values(self.chosen),
            "front": [json_values(point) for point in self.front],
            "spikes": dict(self.spikes),
            "uncounted": [dataclasses.asdict(node) for node in self.uncounted],
        }

    def text(self) -> str:
        """The report for a terminal: the front, the choice marked."""
        header = (
            "",
            "spikes/element",
            "operations",
            "energy",
            "T",
            f"{self.metric} loss",
            "95 % below",
            "output error",
        )
        rows = [
            (
                "->" if point == self.chosen else "",
                f"{point.spikes:.2f}",
                f"{point.operations:.3g}",
                f"{point.energy:.1%}" if math.isfinite(point.energy) else "",
                str(point.timesteps),
                f"{point.loss:+.3%}",
                f"{point.bound:.3%}",
                f"{point.relative_error:.2e}",
            )
            for point in self.front
        ]
        kinds = [(kind, f"{spikes:.2f}") for kind, spikes in self.spikes.items()]
        energy = (
            f"energy: accumulate-only rule, all products, {COSTS.accumulate} pJ for each synaptic operation and "
            f"{COSTS.multiply_accumulate} pJ for each multiply-accumulate (45 nm), over that of the original"
        )
        notes = [note(self.uncounted)] if self.uncounted else []
        return "\n".join([table(header, rows), energy, *notes, "", table(("neurons", "spikes/element"), kinds)])


def tune(
    model: str | Path,
    output: str | Path,
    calibration: Source,
    *,
    data: Source | None = None,
    target_loss: float | None = None,
    max_spikes: float | None = None,
    max_timesteps: int = MAX_TIMESTEPS,
    minimize: Minimize | str = Minimize.SPIKES,
    metric: MetricLike | None = None,
    labels: NDArray[Any] | None = None,
    compared_output: str | None = None,
    config: ConvertConfig | None = None,
    calibration_cache: str | Path | None = None,
    batch_size: int = 8,
    samples: int | None = None,
    progress: bool = True,
) -> TuningReport:
    """Choose the neurons of a network by what they cost and what their errors do, and convert it with them.

    Args:
        model: .onnx file of the original network.
        output: .onnx file to write.
        calibration: real inputs, as for `onnx_snn.convert`.
        data: inputs on which the loss is measured, with an array `labels` for a task metric; the calibration data
            by default. They should be none of the data on which the result is judged afterwards.
        target_loss: largest relative loss of the metric, such as 0.002; the cheapest choice is made that keeps it on
            `data`, and with a confidence of 95 % on as much other data.
        max_spikes: largest number of spikes per element; without a target, the most exact choice within is made.
        max_timesteps: largest number of time steps of a neuron.
        minimize: "spikes", or "operations" (synaptic operations, spikes times their fan-out).
        metric: as for `onnx_snn.compare`; by default what the labels suggest, and without labels the share of
            decisions that are those of the original.
        labels: what the metric compares with; by default the array `labels` of `data`, if any.
        compared_output: output that the metric sees; the first by default.
        config: the other options of the conversion.
        calibration_cache: as for `onnx_snn.convert`.
        batch_size: samples in one run.
        samples: use at most this many samples of `data`.
        progress: show progress bars on a terminal.

    Returns:
        The choice, the Pareto front around it, and the report of the conversion.

    Raises:
        ConfigError: an option is out of its range, or the target cannot be reached.
        ModelError: the model cannot be read, or nothing in it can be converted.
        CalibrationError: data or labels do not fit the model.
        OutputError: the output cannot be written.
    """
    goal = Goal(target_loss, max_spikes, max_timesteps, minimize_of(minimize))
    config = config or ConvertConfig()
    if isinstance(model, (str, os.PathLike)) and Path(model).is_dir():
        raise ConfigError(f"'{model}' is a folder; tune one .onnx file of it at a time")
    check_destination(output, model)
    run = Run(config, calibration_cache, None, batch_size, dry_run=False, progress=progress)
    judged = Judged(calibration if data is None else data, labels, metric, compared_output, samples)
    bench = prepare(run, model, calibration, judged, max_timesteps).workbench(progress=progress)
    solver = Solver(bench, goal)
    choice, chosen = solver.solve()
    tuned = dataclasses.replace(config, timesteps=chosen.timesteps, lean=False, nodes=tuple(_entries(choice)))
    report = convert(
        model,
        output,
        calibration,
        config=tuned,
        calibration_cache=calibration_cache,
        batch_size=batch_size,
        progress=progress,
    )
    front = solver.front(chosen)
    return TuningReport(
        tuned, bench.metric.name, chosen, front, _spikes_by_kind(choice), report, bench.products.uncounted
    )


class Judged(NamedTuple):
    """What the loss is measured on, as `tune` takes it."""

    data: Source
    labels: NDArray[Any] | None = None
    metric: MetricLike | None = None
    output: str | None = None
    samples: int | None = None


class Prepared(NamedTuple):
    """A network before its neurons are chosen.

    Attributes:
        model: the network; its workbench rewrites it.
        plans: its sites, with any neurons.
        knobs: the neurons that are chosen apart.
        products: its multiply-accumulates.
        fitter: what fits them, until the workbench is there.
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

    def workbench(self, *, progress: bool) -> Workbench:
        """What runs the network with any neurons."""
        judged = self.batches, self.output, self.metric
        return Workbench(self.model, self.plans, self.knobs, self.products, *judged, progress=progress)


def prepare(run: Run, model: str | Path, calibration: Source, judged: Judged, max_timesteps: int) -> Prepared:
    """Calibrate a network and fit all that its neurons can be.

    Raises:
        ConfigError, ModelError, CalibrationError: as `tune`.
    """
    _check_config(run.config)
    labels = labels_of(judged.data) if judged.labels is None else np.asarray(judged.labels)
    metric = metric_of(judged.metric, labels) or METRICS["agreement"]
    _, original, ledger = run.examine(model, Stopwatch())
    name = output_name([output_names(original)] * 2, judged.output)
    feeds = run.feeds(original, ledger, calibration)
    batches = open_feeds(judged.data, input_specs(original), batch_size=run.batch_size, max_samples=judged.samples)
    static, seen, _ = run.calibrate(original, ledger, feeds)
    _refuse_branches(ledger.wanted, original.graph)
    fitter = Fitter(seen, static, run.config)
    plans, _ = fit_sites(ledger.wanted, fitter)
    first, converted = feeds.first(), [plan.site for plan in plans]
    shapes = observed_shapes(original, converted, first)
    knobs = knobs_of(plans, fitter, shapes, first, max_timesteps, progress=run.progress)
    products = product_work(original, converted, shapes, first)
    return Prepared(original, plans, knobs, products, fitter, list(labelled(batches, labels)), name, metric)


def _refuse_branches(sites: Iterable[Site], graph: ir.Graph) -> None:
    for site in sites:
        if site.nodes[-1].graph is not graph:
            raise ConfigError(f"{site.name} lies in a branch, where it cannot be tried apart; exclude it, then tune")


def _check_config(config: ConvertConfig) -> None:
    if config.preset is Preset.PAPER:
        raise ConfigError("preset 'paper' has neurons of its own; tune with preset 'default'")
    if config.nodes:
        raise ConfigError("the configuration has settings of single nodes; tuning makes them, so leave them out")


def _entries(choice: Choice) -> list[NodeSettings]:
    """The settings that make `choice`."""
    return [
        NodeSettings(site.name, neuron, **dataclasses.asdict(candidate.settings))
        for knob, candidate in choice
        for site, neuron in knob.members
    ]


def _spikes_by_kind(choice: Choice) -> dict[str, float]:
    """Spikes per element by what a neuron does."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for knob, candidate in choice:
        site, neuron = knob.members[0]
        group = site.function if site.kind is Kind.FUNCTION else f"{site.kind.value} {neuron.split()[0]}"
        groups.setdefault(str(group), []).append((knob.load.elements, candidate.spikes))
    return {
        group: float(np.average([spikes for _, spikes in members], weights=[elements for elements, _ in members]))
        for group, members in sorted(groups.items())
    }

# SPDX-License-Identifier: Apache-2.0
"""Tuning: the cheapest neurons with which a network keeps its accuracy.

1. Every neuron gets its candidates (`onnx_snn.allocation.knobs`).
2. The *sensitivity* to every neuron is measured: the network runs with this neuron alone spiking, at two candidates,
   and the distortion of the output is measured. That of the other candidates is interpolated by their errors.
3. Distortions of single neurons nearly add up. For a given price of distortion the best choice for every neuron is thus
   independent of the others, and the choices at all prices form the predicted Pareto front (`onnx_snn.tuning.solver`).
4. Choices on this front run on the tuning data, until the cheapest that meets the target is found. Where none does, the
   best one is written all the same, with a warning of what can be promised (`onnx_snn.tuning.promise`).

Nothing is random, and the result is a configuration with which `convert` writes the same file.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.config.node_settings import NodeSettings
from onnx_snn.conversion.destination import check_destination
from onnx_snn.conversion.pipeline import convert
from onnx_snn.conversion.run_options import RunOptions
from onnx_snn.data.feeds import Source
from onnx_snn.errors import ConfigError
from onnx_snn.evaluation.metrics import MetricLike
from onnx_snn.neurons.mbe import MAX_TIMESTEPS
from onnx_snn.tuning.preparation import TuningData, prepare
from onnx_snn.tuning.promise import reach_of, shortfall
from onnx_snn.tuning.solver import Choice, Goal, Minimize, Solver, Trial, minimize_of
from onnx_snn.tuning.tuning_report import TuningReport

logger = logging.getLogger(__name__)


def tune(
    model: str | Path,
    output: str | Path,
    calibration: Source,
    *,
    data: Source | None = None,
    target_loss: float | None = None,
    max_spikes: float | None = None,
    max_timesteps: int = MAX_TIMESTEPS,
    minimize: Minimize | str | None = None,
    metric: MetricLike | None = None,
    labels: NDArray[Any] | None = None,
    compared_output: str | None = None,
    config: ConvertConfig | None = None,
    calibration_cache: str | Path | None = None,
    batch_size: int = 8,
    samples: int | None = None,
    progress: bool = True,
    custom_ops: Sequence[str | Path] = (),
) -> TuningReport:
    """Choose the cheapest neurons with which a network keeps its accuracy, and convert it with them.

    Args:
        model: .onnx file of the original network.
        output: .onnx file to write.
        calibration: real inputs, as for `onnx_snn.convert`.
        data: inputs on which the loss is measured, with an array `labels` for a task metric; not those on which the
            result is evaluated afterwards. The calibration data by default.
        target_loss: largest relative loss of the metric, such as 0.002, on `data` and, with a confidence of 95 %, on
            another set of as many samples. If no choice keeps it, the result is the cheapest one that seems to, else
            the most exact one, and the report has a warning.
        max_spikes: largest number of spikes per element; if no choice is within, the result is the sparsest one, with a
            warning. Without a target, the result is the most exact choice within.
        max_timesteps: largest number of time steps of a neuron.
        minimize: "operations" (spikes times their fan-out: the energy), or "spikes", the default with `max_spikes`.
        metric: as for `onnx_snn.compare`; by default the one that suits the labels, and without labels the share of
            predictions that equal those of the original.
        labels: labels for the metric; by default those of `data`, if any.
        compared_output: output that the metric compares; the first by default.
        config: the other options of the conversion. With `strict`, a goal that is not met is an error.
        calibration_cache: as for `onnx_snn.convert`.
        batch_size: samples in one run.
        samples: use at most this many samples of `data`.
        progress: show progress bars on a terminal.
        custom_ops: libraries of custom operators that the model needs, as onnxruntime registers them.

    Returns:
        The choice, the Pareto front of all that were run, with configurations, what is promised, and the conversion.

    Raises:
        ConfigError: an option is out of its range; with `strict`, the goal is not met, and nothing is written.
        ModelError, CalibrationError, OutputError, LibraryError: as for `onnx_snn.convert`.
    """
    goal = Goal(target_loss, max_spikes, max_timesteps, minimize_of(minimize, max_spikes))
    if isinstance(model, (str, os.PathLike)) and Path(model).is_dir():
        raise ConfigError(f"'{model}' is a folder; tune it with tune_folder")
    run = RunOptions(config or ConvertConfig(), calibration_cache, None, batch_size, False, progress, tuple(custom_ops))
    check_destination(output, model, [calibration, data], run)
    tuning = TuningData(calibration if data is None else data, labels, metric, compared_output, samples)
    return _tuned(model, output, calibration, run, tuning, goal)


def _tuned(
    model: str | Path, output: str | Path, calibration: Source, run: RunOptions, tuning: TuningData, goal: Goal
) -> TuningReport:
    """Choose the neurons of a network, and convert it with them."""
    runner = prepare(run, model, calibration, tuning, goal.max_timesteps).trial_runner(progress=run.progress)
    reach = None if goal.target_loss is None else reach_of(runner, goal.target_loss)
    if reach is not None:
        logger.info("%s", reach.text())
        if run.progress:
            tqdm.write(reach.text(), file=sys.stderr)
    solver = Solver(runner, goal)
    chosen = solver.solve()
    warning = shortfall(runner, goal, chosen.point)
    if warning and run.config.strict:
        raise ConfigError(warning)
    front = solver.pareto_front(chosen)
    configurations = tuple(_configuration(run.config, trial) for trial in front)
    tuned = _configuration(run.config, chosen)
    report = convert(
        model,
        output,
        calibration,
        config=tuned,
        calibration_cache=run.cache,
        batch_size=run.batch_size,
        progress=run.progress,
        custom_ops=run.custom_ops,
    )
    return TuningReport(
        tuned,
        runner.metric.name,
        chosen.point,
        tuple(trial.point for trial in front),
        _spikes_by_kind(chosen.choice),
        report,
        runner.products.uncounted,
        configurations,
        reach,
        warning,
    )


def _configuration(config: ConvertConfig, trial: Trial) -> ConvertConfig:
    """`config` with the neurons of `trial`."""
    return dataclasses.replace(config, timesteps=trial.point.timesteps, nodes=tuple(_entries(trial.choice)))


def _entries(choice: Choice) -> list[NodeSettings]:
    """The settings of single nodes that select `choice` in a configuration."""
    return [
        NodeSettings(site.name, role.value, **candidate.settings.options())
        for knob, candidate in choice
        for site, role in knob.members
    ]


def _spikes_by_kind(choice: Choice) -> dict[str, float]:
    """Spikes per element by kind of neuron: by function, else by kind of site and role."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for knob, candidate in choice:
        site, role = knob.members[0]
        group = site.function_name or f"{site.kind.value} {role.group}"
        groups.setdefault(group, []).append((knob.load.elements, candidate.coding.spikes))
    return {
        group: float(np.average([spikes for _, spikes in members], weights=[elements for elements, _ in members]))
        for group, members in sorted(groups.items())
    }

# SPDX-License-Identifier: Apache-2.0
"""The command `tune`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from onnx_snn.cli.data_options import add_data_options
from onnx_snn.cli.installed_kernels import note_missing_kernels
from onnx_snn.cli.options import Commands, add_choice, add_custom_ops, add_network, fraction
from onnx_snn.cli.settings import common_settings
from onnx_snn.cli.terminal import note, write
from onnx_snn.cli.written_files import check_written
from onnx_snn.errors import ConfigError
from onnx_snn.evaluation.metrics import METRICS
from onnx_snn.neurons.mbe import MAX_TIMESTEPS
from onnx_snn.output_files import write_json
from onnx_snn.tuning.folder import tune_folder
from onnx_snn.tuning.solver import Minimize
from onnx_snn.tuning.tuner import tune

WRITTEN = {
    "output": "output",
    "settings": "configuration",
    "report": "report",
    "front": "Pareto front",
    "calibration_cache": "calibration cache",
}
"""Arguments that are files to write, and what they are."""


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "tune", parents=[common], help="find the cheapest neurons that keep a target loss, and convert with them"
    )
    files = parser.add_argument_group("files")
    files.add_argument("-m", "--model", required=True, help=".onnx file, or a folder as Optimum writes it")
    files.add_argument("-o", "--output", required=True, help=".onnx file (or folder) to write")
    files.add_argument("-c", "--calibration", metavar="DATA", required=True, help="real inputs, as for convert")
    files.add_argument(
        "--data", help="inputs with labels on which the loss is measured (default: the calibration data)"
    )
    files.add_argument(
        "--calibration-cache",
        metavar="NPZ",
        help="cache of the calibration statistics: read if it exists, else written",
    )
    files.add_argument("--config", metavar="JSON", help="other options of the conversion, from a file")
    files.add_argument(
        "--settings", metavar="JSON", help="where to write the configuration for convert (default: beside the output)"
    )
    files.add_argument("--report", metavar="JSON", help="write all figures as JSON")
    files.add_argument(
        "--front",
        metavar="JSON",
        help="write the Pareto front with all configurations, for convert --config FRONT --point N",
    )
    add_data_options(parser)
    _add_goal(parser)
    add_network(parser.add_argument_group("network"))
    add_choice(parser, strict="fail if the goal is not met or a nonlinear node cannot be converted")
    work = parser.add_argument_group("work")
    work.add_argument("--samples", type=int, metavar="N", help="use at most N samples of the data")
    work.add_argument("--batch-size", type=int, default=8, help="samples in one run (default: 8)")
    add_custom_ops(work)
    parser.set_defaults(timesteps=None)  # the solver chooses them


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    folder = Path(options.model).is_dir()
    options.settings = settings = Path(options.settings or Path(options.output).with_suffix(".json"))
    if folder and options.front:
        raise ConfigError(f"'{options.model}' is a folder, but a Pareto front belongs to one model; leave --front out")
    check_written(options, WRITTEN)
    arguments = {
        "data": options.data,
        "target_loss": options.target_loss,
        "max_spikes": options.max_spikes,
        "max_timesteps": options.max_timesteps,
        "minimize": options.minimize,
        "metric": options.metric,
        "compared_output": options.compared_output,
        "config": common_settings(options),
        "calibration_cache": options.calibration_cache,
        "batch_size": options.batch_size,
        "samples": options.samples,
        "progress": not options.quiet,
        "custom_ops": options.custom_ops,
    }
    files = options.model, options.output, options.calibration
    reports = tune_folder(*files, **arguments) if folder else {"": tune(*files, **arguments)}
    _write_json(settings, {name: report.config.to_json() for name, report in reports.items()})
    if options.report:
        _write_json(options.report, {name: report.to_json() for name, report in reports.items()})
    if options.front:
        reports[""].save_front(options.front)
    note_missing_kernels(options)
    for name, report in reports.items():
        if report.warning:
            note(f"warning: {f'{name}: ' if name else ''}{report.warning}")
    if not options.quiet:
        texts = [f"== {name}\n{report.text()}" if name else report.text() for name, report in reports.items()]
        made = f"written: {options.output}\nto make the same file again: onnx-snn convert --config {settings}"
        write("\n\n".join([*texts, made]))


def _add_goal(parser: argparse.ArgumentParser) -> None:
    goal = parser.add_argument_group("goal (at least one of the first two)")
    goal.add_argument(
        "--target-loss",
        type=fraction,
        metavar="LOSS",
        help="largest relative loss of the metric, such as 0.2%% or 0.002",
    )
    goal.add_argument("--max-spikes", type=float, metavar="S", help="largest mean number of spikes per element")
    goal.add_argument(
        "--max-timesteps",
        type=int,
        default=MAX_TIMESTEPS,
        metavar=f"1..{MAX_TIMESTEPS}",
        help=f"largest number of time steps of a neuron (default: {MAX_TIMESTEPS})",
    )
    goal.add_argument(
        "--minimize",
        choices=[each.value for each in Minimize],
        help="what to minimise: synaptic operations (spikes times their fan-out), or spikes (default: operations, with "
        "--max-spikes spikes)",
    )
    goal.add_argument("--metric", choices=sorted(METRICS), help="task metric (default: what the labels suggest)")
    goal.add_argument("--compared-output", metavar="NAME", help="output that the metric judges (default: the first)")


def _write_json(path: str | Path, values: dict[str, Any]) -> None:
    """Write the value of each model by its file name, or that of the only one, whose name is empty."""
    write_json(path, values.get("", values))

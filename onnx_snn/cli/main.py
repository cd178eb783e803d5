# SPDX-License-Identifier: Apache-2.0
"""Command line: `onnx-snn export | convert | tune | inspect | compare | profile | replay | report | pack | demo`.

Results go to standard output, progress and errors to standard error. The exit status is 0 on success, 1 when a command
fails (one line says what is wrong and what to do), 2 when the arguments cannot be parsed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from onnx_snn.cli.data_options import with_data_files
from onnx_snn.cli.demo import demo
from onnx_snn.cli.pack_command import run_pack
from onnx_snn.cli.parser import parser_of
from onnx_snn.cli.terminal import guarded, note, set_up, write
from onnx_snn.cli.written_files import check_written
from onnx_snn.config.config_file import read_options
from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.pipeline import convert
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.errors import ConfigError
from onnx_snn.evaluation.comparison import Evaluation, compare
from onnx_snn.evaluation.node_sensitivity import Sensitivity
from onnx_snn.evaluation.range_guard import load_unguarded
from onnx_snn.evaluation.sensitivity import DEFAULT_SAMPLES, sensitivity
from onnx_snn.events.replayer import DEFAULT_SAMPLES as DEFAULT_REPLAYED
from onnx_snn.events.replayer import replay
from onnx_snn.exporter import export
from onnx_snn.output_files import write_json
from onnx_snn.profiling.energy import EnergyCosts
from onnx_snn.profiling.gain import measured_gain, verdict
from onnx_snn.profiling.inspection import inspect
from onnx_snn.profiling.profiler import profile
from onnx_snn.reporting.charts.page import check_reports, write_html, write_images
from onnx_snn.reporting.survey import survey
from onnx_snn.runtime.finite_outputs import JudgeOfModel
from onnx_snn.runtime.session import find_library
from onnx_snn.tuning.folder import tune_folder
from onnx_snn.tuning.tuner import tune
from onnx_snn.version import __version__

GAIN_SAMPLES = 16
"""Number of samples on which `compare` counts spikes for its verdict."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of the command line.

    Args:
        arguments: the arguments; those of the process by default.

    Returns:
        The exit status.
    """
    options = with_data_files(parser_of(f"onnx-snn {__version__}\nkernels: {_kernels()}").parse_args(arguments))
    set_up(options.verbose)
    return guarded(lambda: COMMANDS[options.command](options), verbose=options.verbose > 0)


def _convert(options: argparse.Namespace) -> None:
    check_written(options)
    report = convert(
        options.model,
        options.output,
        options.calibration,
        config=_configs(options),
        calibration_cache=options.calibration_cache,
        calibration_samples=options.calibration_samples,
        batch_size=options.batch_size,
        dry_run=options.dry_run,
        progress=not options.quiet,
        custom_ops=options.custom_ops,
    )
    if options.report:
        report.save(options.report)
    if not options.dry_run:
        _note_missing_kernels(options)
    if not options.quiet:
        write(report.text(nodes=options.every_node))


def _configs(options: argparse.Namespace) -> ConvertConfig | dict[str, ConvertConfig]:
    """Options from `--config`, overridden by the flags that were given; of each model where the file names models.

    Raises:
        ConfigError: a file or an option is invalid.
    """
    if options.point is not None and not options.config:
        raise ConfigError(f"point is {options.point}, but no file of a Pareto front is given; name it with --config")
    base = read_options(Path(options.config), options.point) if options.config else {}
    if base and all(name.endswith(".onnx") for name in base):
        return {name: _overridden(entry, options) for name, entry in base.items()}
    return _overridden(base, options)


def _config(options: argparse.Namespace) -> ConvertConfig:
    """Options of one network from `--config`, overridden by the flags that were given."""
    return _overridden(read_options(Path(options.config)) if options.config else {}, options)


def _overridden(base: dict[str, Any], options: argparse.Namespace) -> ConvertConfig:
    """The options in `base`, overridden by the flags that were given."""
    # `--nodes` asks for a report of every node; settings of single nodes come from `--config` alone.
    fields = {field.name for field in dataclasses.fields(ConvertConfig)} - {"nodes"}
    names = sorted(name for name in fields if hasattr(options, name))
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return ConvertConfig.from_json({**ConvertConfig.from_json(base).to_json(), **given})


def _tune(options: argparse.Namespace) -> None:
    folder = Path(options.model).is_dir()
    options.settings = settings = Path(options.settings or Path(options.output).with_suffix(".json"))
    if folder and options.front:
        raise ConfigError(f"'{options.model}' is a folder, but a Pareto front belongs to one model; leave --front out")
    check_written(options)
    arguments = {
        "data": options.data,
        "target_loss": options.target_loss,
        "max_spikes": options.max_spikes,
        "max_timesteps": options.max_timesteps,
        "minimize": options.minimize,
        "metric": options.metric,
        "compared_output": options.compared_output,
        "config": _config(options),
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
    _note_missing_kernels(options)
    for name, report in reports.items():
        if report.warning:
            note(f"warning: {f'{name}: ' if name else ''}{report.warning}")
    if not options.quiet:
        texts = [f"== {name}\n{report.text()}" if name else report.text() for name, report in reports.items()]
        made = f"written: {options.output}\nto make the same file again: onnx-snn convert --config {settings}"
        write("\n\n".join([*texts, made]))


def _write_json(path: str | Path, values: dict[str, Any]) -> None:
    """Write the value of each model by its file name, or that of the only one, whose name is empty."""
    write_json(path, values.get("", values))


def _compare(options: argparse.Namespace) -> None:
    arguments = {"output": options.output, "metric": options.metric, **_run_arguments(options)}
    result: Evaluation | Sensitivity
    if options.per_node:
        samples = options.samples or DEFAULT_SAMPLES
        result = sensitivity(options.original, options.spiking, options.data, samples=samples, **arguments)
    else:
        result = compare(options.original, options.spiking, options.data, samples=options.samples, **arguments)
    if options.kernels:
        _note_missing_kernels(options)
    if options.json:
        write(json.dumps(result.to_json(), indent=2))
    elif isinstance(result, Sensitivity):
        write(result.text())
    else:
        write(f"{result.text()}\n\n{_verdict(result, options)}")


def _run_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """How the commands that only run networks do it."""
    names = ("batch_size", "kernels", "custom_ops")
    return {name: getattr(options, name) for name in names} | {"progress": not options.quiet}


def _verdict(result: Evaluation, options: argparse.Namespace) -> str:
    """What the compared network lost and gained; spikes are counted on the first samples."""
    network = load_unguarded(options.spiking, options.custom_ops)
    samples = min(GAIN_SAMPLES, options.samples or GAIN_SAMPLES)
    size, judge = options.batch_size, JudgeOfModel(network)
    feeds = open_feeds(options.data, input_specs(network), batch_size=size, max_samples=samples, judge=judge)
    return verdict(result.loss_text(), measured_gain(network, feeds, kernels=options.kernels), result.next_text())


def _profile(options: argparse.Namespace) -> None:
    check_written(options)
    result = profile(
        options.model,
        options.data,
        costs=_costs(options.cost),
        samples=options.samples,
        **_run_arguments(options),
    )
    if options.kernels:
        _note_missing_kernels(options)
    if options.json:
        result.save(options.json)
    if not options.quiet:
        write(result.text(nodes=options.nodes))


def _replay(options: argparse.Namespace) -> None:
    check_written(options)
    result = replay(options.model, options.data, samples=options.samples or DEFAULT_REPLAYED, **_run_arguments(options))
    if options.json:
        result.save(options.json)
    if not options.quiet:
        write(result.text())
    result.check()


def _report(options: argparse.Namespace) -> None:
    check_written(options)
    check_reports(options.html, options.png)
    seen = survey(
        options.original,
        options.spiking,
        options.data,
        also=options.also,
        metric=options.metric,
        sample=options.sample,
        samples=options.samples,
        costs=_costs(options.cost),
        **_run_arguments(options),
    )
    if options.html:
        write_html(seen, options.html)
    if options.png:
        write_images(seen, options.png)


def _costs(given: Sequence[str]) -> EnergyCosts:
    """Energy costs from entries NAME=PICOJOULES; the others have their defaults.

    Raises:
        ConfigError: an entry is malformed, names no operation, or its cost is negative or not finite.
    """
    costs: dict[str, float] = {}
    for entry in given:
        name, _, cost = entry.partition("=")
        try:
            costs[name] = float(cost)
        except ValueError:
            raise ConfigError(f"invalid --cost {entry!r}: expected NAME=PICOJOULES, such as accumulate=0.9") from None
    return EnergyCosts.from_json(costs)


def _inspect(options: argparse.Namespace) -> None:
    inspection = inspect(options.model)
    write(json.dumps(inspection.to_json(), indent=2) if options.json else inspection.text())


def _export(options: argparse.Namespace) -> None:
    export(options.model, options.output, task=options.task, opset=options.opset)


def _demo(options: argparse.Namespace) -> None:
    for line in demo(options.models, timesteps=options.timesteps, progress=not options.quiet):
        write(line)
    _note_missing_kernels(options)


def _kernels() -> str:
    """Path of the library with the kernels, or what runs without it, for the output of `--version`."""
    return str(find_library() or "none; networks run by the functions in their files")


def _note_missing_kernels(options: argparse.Namespace) -> None:
    """Write a note to standard error if this installation has no kernels."""
    if find_library() is None and not options.quiet:
        note("note: no kernels installed: results are bit-identical, but slower (see README, Install)")


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "export": _export,
    "convert": _convert,
    "tune": _tune,
    "inspect": _inspect,
    "compare": _compare,
    "profile": _profile,
    "replay": _replay,
    "report": _report,
    "pack": run_pack,
    "demo": _demo,
}
"""The function that runs each command, by the command's name."""

# SPDX-License-Identifier: Apache-2.0
"""The argument parser of the command line; `onnx_snn.cli.main` runs the commands."""

from __future__ import annotations

import argparse

from onnx_snn.cli.data_options import DATA_HELP, add_data_options
from onnx_snn.cli.options import DEFAULTS, Commands, add_choice, add_custom_ops, add_network
from onnx_snn.cli.pack_command import add_pack
from onnx_snn.cli.tune_parser import add_tune
from onnx_snn.evaluation.metrics import METRICS
from onnx_snn.evaluation.sensitivity import DEFAULT_SAMPLES
from onnx_snn.neurons.mbe import MAX_TIMESTEPS
from onnx_snn.profiling.energy import EnergyCosts


def parser_of(version: str) -> argparse.ArgumentParser:
    """The parser of all commands; `version` is what `--version` prints."""
    parser = argparse.ArgumentParser(
        prog="onnx-snn",
        description="Convert pretrained ONNX networks into spiking ONNX networks, without training.",
        formatter_class=argparse.RawDescriptionHelpFormatter,  # keeps the lines of the version apart
    )
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-v", "--verbose", action="count", default=0, help="log more; twice for debugging")
    common.add_argument("-q", "--quiet", action="store_true", help="no progress bars and no report on the terminal")
    for add in (
        _add_export,
        _add_convert,
        add_tune,
        _add_inspect,
        _add_compare,
        _add_profile,
        _add_replay,
        _add_report,
        add_pack,
        _add_demo,
    ):
        add(commands, common)
    return parser


def _add_export(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "export",
        parents=[common],
        help="export a Transformers model to ONNX through Optimum (extra: export)",
    )
    parser.add_argument("-m", "--model", required=True, help="folder of a Transformers model")
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    parser.add_argument("--task", default="auto", help="Optimum's task, inferred by default")
    parser.add_argument("--opset", type=int, help="ONNX opset, Optimum's default if not given")


def _add_convert(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("convert", parents=[common], help="convert a network into a spiking one")
    files = parser.add_argument_group("files")
    files.add_argument("-m", "--model", required=True, help=".onnx file, or a folder as Optimum writes it")
    files.add_argument("-o", "--output", help=".onnx file (or folder) to write")
    files.add_argument(
        "-c",
        "--calibration",
        metavar="DATA",
        help=f"{DATA_HELP}; for several models a folder with NAME.npz for each NAME.onnx, or data of the encoder",
    )
    files.add_argument(
        "--calibration-cache",
        metavar="NPZ",
        help="cache of the calibration statistics: read if it exists, else written",
    )
    files.add_argument(
        "--config", metavar="JSON", help="options from a file: a configuration, or a Pareto front of tune"
    )
    files.add_argument("--point", type=int, metavar="N", help="point of the Pareto front in --config, from 1")
    files.add_argument("--report", metavar="JSON", help="write the report as JSON")
    add_data_options(parser)
    network = parser.add_argument_group("network")
    network.add_argument(
        "-T",
        "--timesteps",
        type=int,
        metavar=f"1..{MAX_TIMESTEPS}",
        help=f"time steps, {DEFAULTS.timesteps} by default",
    )
    add_network(network)
    add_choice(parser, strict="fail if a nonlinear node cannot be converted")
    work = parser.add_argument_group("work")
    work.add_argument(
        "--dry-run",
        action="store_true",
        help="report what would be converted and write nothing; no data needed",
    )
    work.add_argument(
        "--calibration-samples", type=int, metavar="N", help="use at most N samples, drawn evenly over the data"
    )
    work.add_argument("--batch-size", type=int, default=8, help="samples in one run (default: 8)")
    add_custom_ops(work)
    work.add_argument("--nodes", dest="every_node", action="store_true", help="report every node")


def _add_inspect(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "inspect", parents=[common], help="show how a file was converted and which nodes are spiking"
    )
    parser.add_argument("model", help="converted .onnx file")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_networks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("original", help=".onnx file of the original network")
    parser.add_argument("spiking", help="converted .onnx file")
    parser.add_argument(
        "data", help=f"{DATA_HELP}; with an array or column `labels`, or folders named as classes, for a task metric"
    )
    add_data_options(parser)
    parser.add_argument("--metric", choices=sorted(METRICS), help="task metric (default: what the labels suggest)")


def _add_runs(parser: argparse.ArgumentParser) -> None:
    add_custom_ops(parser)
    parser.add_argument("--batch-size", type=int, default=8, help="samples in one run (default: 8)")
    parser.add_argument("--samples", type=int, metavar="N", help="use at most N samples")
    parser.add_argument(
        "--kernels",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run spiking nodes by the kernels if installed (default), or by the ONNX functions in the file",
    )


def _add_costs(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(EnergyCosts.__dataclass_fields__)
    parser.add_argument(
        "--cost",
        nargs="+",
        default=(),
        metavar="NAME=PICOJOULES",
        help=f"energy of one operation in picojoules; NAME is one of {names}",
    )


def _add_compare(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "compare", parents=[common], help="compare the outputs and the task metric of original and spiking network"
    )
    _add_networks(parser)
    parser.add_argument("--output", help="output to compare (default: the first)")
    _add_runs(parser)
    parser.add_argument(
        "--per-node",
        action="store_true",
        help=f"rank spiking nodes by their effect on the output (default: {DEFAULT_SAMPLES} samples); takes about one "
        "run of the network for each sample and each spiking node, minutes for a hundred nodes of a large network",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_profile(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "profile",
        parents=[common],
        help="count spikes and operations of a spiking network, and estimate energy by several rules",
    )
    parser.add_argument("model", help="converted .onnx file")
    parser.add_argument("data", help=DATA_HELP)
    add_data_options(parser)
    _add_runs(parser)
    parser.add_argument("--nodes", action="store_true", help="report every node")
    parser.add_argument("--json", metavar="FILE", help="write all counts as JSON")
    _add_costs(parser)


def _add_replay(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "replay",
        parents=[common],
        help="make every product of a spiking network once more, spike by spike, and compare (default: 16 samples)",
    )
    parser.add_argument("model", help="converted .onnx file")
    parser.add_argument("data", help=DATA_HELP)
    add_data_options(parser)
    _add_runs(parser)
    parser.add_argument("--json", metavar="FILE", help="write all figures as JSON")


def _add_report(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "report", parents=[common], help="chart errors, fits, spikes and energy of a spiking network in one HTML file"
    )
    _add_networks(parser)
    parser.add_argument("--html", metavar="FILE", help="write one self-contained HTML page")
    parser.add_argument("--png", metavar="FOLDER", help="write the charts as PNG files")
    parser.add_argument(
        "--also",
        nargs="+",
        default=(),
        metavar="FILE",
        help="other converted files of the same original, for the charts of loss by time steps and by spikes",
    )
    parser.add_argument(
        "--sample", type=int, default=0, metavar="K", help="index of the sample of the spike raster plots (default: 0)"
    )
    _add_runs(parser)
    _add_costs(parser)


def _add_demo(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("demo", parents=[common], help="convert the models that come with the repository")
    parser.add_argument("--models", default="models", help="folder of the models (default: models)")
    parser.add_argument("-T", "--timesteps", type=int, default=DEFAULTS.timesteps, help="time steps")

# SPDX-License-Identifier: Apache-2.0
"""The command `convert`."""

from __future__ import annotations

import argparse

from onnx_snn.cli.data_options import DATA_HELP, add_data_options
from onnx_snn.cli.installed_kernels import note_missing_kernels
from onnx_snn.cli.options import DEFAULTS, Commands, add_choice, add_custom_ops, add_network
from onnx_snn.cli.settings import network_settings
from onnx_snn.cli.terminal import write
from onnx_snn.cli.worker_options import add_workers, workers
from onnx_snn.cli.written_files import check_written
from onnx_snn.conversion.folder_layout import Layout
from onnx_snn.conversion.pipeline import convert
from onnx_snn.neurons.mbe import MAX_TIMESTEPS

WRITTEN = {"output": "output", "report": "report", "calibration_cache": "calibration cache"}
"""Arguments that are files to write, and what they are."""


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("convert", parents=[common], help="convert a network into a spiking one")
    files = parser.add_argument_group("files")
    files.add_argument("-m", "--model", required=True, help=".onnx file, or a folder as Optimum writes it")
    files.add_argument("-o", "--output", help=".onnx file (or folder) to write")
    files.add_argument(
        "--layout",
        choices=[layout.value for layout in Layout],
        default=Layout.OPTIMUM.value,
        help="where the models of a folder are written: transformersjs for its subfolder onnx/",
    )
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
    add_workers(work)
    work.add_argument("--nodes", dest="every_node", action="store_true", help="report every node")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_written(options, WRITTEN)
    with workers(options) as executor:
        report = convert(
            options.model,
            options.output,
            options.calibration,
            config=network_settings(options),
            calibration_cache=options.calibration_cache,
            calibration_samples=options.calibration_samples,
            batch_size=options.batch_size,
            dry_run=options.dry_run,
            progress=not options.quiet,
            custom_ops=options.custom_ops,
            layout=options.layout,
            executor=executor,
        )
    if options.report:
        report.save(options.report)
    if not options.dry_run:
        note_missing_kernels(options)
    if not options.quiet:
        write(report.text(nodes=options.every_node))

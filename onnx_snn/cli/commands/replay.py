# SPDX-License-Identifier: Apache-2.0
"""The command `replay`."""

from __future__ import annotations

import argparse

from onnx_snn.cli.data_options import DATA_HELP, add_data_options
from onnx_snn.cli.options import Commands
from onnx_snn.cli.run_options import add_runs, run_arguments
from onnx_snn.cli.terminal import write
from onnx_snn.cli.written_files import check_written
from onnx_snn.events.replay.replayer import DEFAULT_SAMPLES, replay

WRITTEN = {"json": "JSON file"}
"""Arguments that are files to write, and what they are."""


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "replay",
        parents=[common],
        help="make every product of a spiking network once more, spike by spike, and compare (default: 16 samples)",
    )
    parser.add_argument("model", help="converted .onnx file")
    parser.add_argument("data", help=DATA_HELP)
    add_data_options(parser)
    add_runs(parser)
    parser.add_argument("--json", metavar="FILE", help="write all figures as JSON")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_written(options, WRITTEN)
    result = replay(options.model, options.data, samples=options.samples or DEFAULT_SAMPLES, **run_arguments(options))
    if options.json:
        result.save(options.json)
    if not options.quiet:
        write(result.text())
    result.check()

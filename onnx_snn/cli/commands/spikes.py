# SPDX-License-Identifier: Apache-2.0
"""The command `spikes`."""

from __future__ import annotations

import argparse

from onnx_snn.cli.data_options import DATA_HELP, add_data_options
from onnx_snn.cli.options import Commands, byte_size
from onnx_snn.cli.run_options import add_runs
from onnx_snn.cli.terminal import note, write
from onnx_snn.events.trains.export import DEFAULT_SAMPLES, MAX_BYTES, export_spikes
from onnx_snn.events.trains.files import WRITERS


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "spikes", parents=[common], help="write the spike trains of neurons as events, one file a neuron"
    )
    parser.add_argument("model", help="converted .onnx file")
    parser.add_argument("data", help=DATA_HELP)
    add_data_options(parser)
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="folder to write, new or empty")
    parser.add_argument(
        "--nodes",
        nargs="+",
        default=(),
        metavar="NAME",
        help="names of nodes or neurons, or patterns with * and ? (default: all)",
    )
    parser.add_argument(
        "--format",
        choices=sorted(WRITERS),
        default="npz",
        help="npz (default), or hdf5 in the layout of NIRData (extra: events)",
    )
    parser.add_argument(
        "--max-bytes",
        type=byte_size,
        default=MAX_BYTES,
        metavar="SIZE",
        help="largest size of all files, such as 500M or 4G (default: 1G)",
    )
    add_runs(parser, batches=False, samples=DEFAULT_SAMPLES)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    result = export_spikes(
        options.model,
        options.data,
        options.output,
        nodes=options.nodes,
        format=options.format,
        samples=options.samples,
        max_bytes=options.max_bytes,
        announce=None if options.quiet else note,
        progress=not options.quiet,
        kernels=options.kernels,
        custom_ops=options.custom_ops,
    )
    if not options.quiet:
        write(result.text())

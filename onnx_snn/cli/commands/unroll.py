# SPDX-License-Identifier: Apache-2.0
"""The command `unroll`."""

from __future__ import annotations

import argparse

from onnx_snn.cli.options import Commands
from onnx_snn.cli.terminal import write
from onnx_snn.unrolling.unroller import unroll


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "unroll",
        parents=[common],
        help="write a converted network in standard operators alone, in which spikes are boolean tensors",
    )
    parser.add_argument("model", help="converted .onnx file")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help=".onnx file to write")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    result = unroll(options.model, options.output)
    if not options.quiet:
        write(result.text())

# SPDX-License-Identifier: Apache-2.0
"""The command `inspect`."""

from __future__ import annotations

import argparse
import json

from onnx_snn.cli.options import Commands
from onnx_snn.cli.terminal import write
from onnx_snn.profiling.inspection import inspect
from onnx_snn.profiling.word_lengths import word_lengths


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "inspect", parents=[common], help="show how a file was converted and which nodes are spiking"
    )
    parser.add_argument("model", help="converted .onnx file")
    parser.add_argument(
        "--fixed-point", action="store_true", help="show the bits that each neuron needs in integers, for the same bits"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    shown = word_lengths(options.model) if options.fixed_point else inspect(options.model)
    write(json.dumps(shown.to_json(), indent=2) if options.json else shown.text())

# SPDX-License-Identifier: Apache-2.0
"""The command `export`."""

from __future__ import annotations

import argparse

from onnx_snn.cli.options import Commands
from onnx_snn.exporter import export


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "export",
        parents=[common],
        help="export a Transformers model to ONNX through Optimum (extra: export)",
    )
    parser.add_argument("-m", "--model", required=True, help="folder of a Transformers model")
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    parser.add_argument("--task", default="auto", help="Optimum's task, inferred by default")
    parser.add_argument("--opset", type=int, help="ONNX opset, Optimum's default if not given")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    export(options.model, options.output, task=options.task, opset=options.opset)

# SPDX-License-Identifier: Apache-2.0
"""The command `raster`."""

from __future__ import annotations

import argparse

from onnx_snn.cli.options import Commands
from onnx_snn.events.trains.record import read_spikes
from onnx_snn.output_paths import check_outputs
from onnx_snn.reporting.charts.image import write_chart
from onnx_snn.reporting.charts.strokes import raster_of_record


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "raster", parents=[common], help="draw spike trains that the command spikes wrote (extra: report)"
    )
    parser.add_argument("events", help=".npz file of one neuron")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="picture to write, such as raster.png")
    parser.add_argument("--sample", type=int, default=0, metavar="K", help="index of the sample (default: 0)")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_outputs({"picture": options.output}, {"the events": options.events})
    write_chart(raster_of_record(read_spikes(options.events), options.sample), options.output)

# SPDX-License-Identifier: Apache-2.0
"""The command `report`."""

from __future__ import annotations

import argparse

from onnx_snn.cli.options import Commands
from onnx_snn.cli.run_options import add_costs, add_networks, add_runs, energy_costs, run_arguments
from onnx_snn.cli.written_files import check_written
from onnx_snn.reporting.charts.page import check_reports, write_html, write_images
from onnx_snn.reporting.survey import survey

WRITTEN = {"html": "page"}
"""Arguments that are files to write, and what they are."""


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report", parents=[common], help="chart errors, fits, spikes and energy of a spiking network in one HTML file"
    )
    add_networks(parser)
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
    add_runs(parser)
    add_costs(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_written(options, WRITTEN)
    check_reports(options.html, options.png)
    seen = survey(
        options.original,
        options.spiking,
        options.data,
        also=options.also,
        metric=options.metric,
        sample=options.sample,
        samples=options.samples,
        costs=energy_costs(options.cost),
        **run_arguments(options),
    )
    if options.html:
        write_html(seen, options.html)
    if options.png:
        write_images(seen, options.png)

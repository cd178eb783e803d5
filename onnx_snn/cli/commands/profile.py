# SPDX-License-Identifier: Apache-2.0
"""The command `profile`."""

from __future__ import annotations

import argparse

from onnx_snn.cli.data_options import DATA_HELP, add_data_options
from onnx_snn.cli.installed_kernels import note_missing_kernels
from onnx_snn.cli.options import Commands
from onnx_snn.cli.run_options import add_costs, add_runs, energy_costs, run_arguments
from onnx_snn.cli.terminal import write
from onnx_snn.cli.worker_options import add_workers, workers
from onnx_snn.cli.written_files import check_written
from onnx_snn.events.neurobench.meter import neurobench
from onnx_snn.profiling.profiler import profile

WRITTEN = {"json": "JSON file", "neurobench": "file of NeuroBench's figures"}
"""Arguments that are files to write, and what they are."""


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "profile",
        parents=[common],
        help="count spikes and operations of a spiking network, and estimate energy by several rules",
    )
    parser.add_argument("model", help="converted .onnx file")
    parser.add_argument("data", help=DATA_HELP)
    add_data_options(parser)
    add_runs(parser)
    add_workers(parser)
    parser.add_argument("--nodes", action="store_true", help="report every node")
    parser.add_argument("--json", metavar="FILE", help="write all counts as JSON")
    parser.add_argument(
        "--neurobench",
        metavar="FILE",
        help="write the figures of NeuroBench (footprint, sparsities, synaptic operations, membrane updates) as JSON",
    )
    add_costs(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    check_written(options, WRITTEN)
    with workers(options) as executor:
        result = profile(
            options.model,
            options.data,
            costs=energy_costs(options.cost),
            samples=options.samples,
            executor=executor,
            **run_arguments(options),
        )
    if options.neurobench:
        neurobench(options.model, options.data, samples=options.samples, **run_arguments(options)).save(
            options.neurobench
        )
    if options.kernels:
        note_missing_kernels(options)
    if options.json:
        result.save(options.json)
    if not options.quiet:
        write(result.text(nodes=options.nodes))

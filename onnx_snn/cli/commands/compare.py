# SPDX-License-Identifier: Apache-2.0
"""The command `compare`."""

from __future__ import annotations

import argparse
import json

from onnx_snn.cli.installed_kernels import note_missing_kernels
from onnx_snn.cli.options import Commands
from onnx_snn.cli.run_options import add_networks, add_runs, run_arguments
from onnx_snn.cli.terminal import write
from onnx_snn.cli.worker_options import add_workers, workers
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.errors import ConfigError
from onnx_snn.evaluation.comparison import compare
from onnx_snn.evaluation.evaluation import Evaluation
from onnx_snn.evaluation.node_sensitivity import Sensitivity
from onnx_snn.evaluation.range_guard import load_unguarded
from onnx_snn.evaluation.sensitivity import DEFAULT_SAMPLES, sensitivity
from onnx_snn.profiling.gain import measured_gain, verdict
from onnx_snn.runtime.finite_outputs import JudgeOfModel

GAIN_SAMPLES = 16
"""Number of samples on which spikes are counted for the verdict."""


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compare", parents=[common], help="compare the outputs and the task metric of original and spiking network"
    )
    add_networks(parser)
    parser.add_argument("--output", help="output to compare (default: the first)")
    add_runs(parser)
    add_workers(parser)
    parser.add_argument(
        "--per-node",
        action="store_true",
        help=f"rank spiking nodes by their effect on the output (default: {DEFAULT_SAMPLES} samples); takes about one "
        "run of the network for each sample and each spiking node, minutes for a hundred nodes of a large network",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    arguments = {"output": options.output, "metric": options.metric, **run_arguments(options)}
    result: Evaluation | Sensitivity
    if options.per_node:
        if options.workers is not None or options.dask is not None:
            raise ConfigError("--per-node runs in this process; leave --workers and --dask out")
        samples = options.samples or DEFAULT_SAMPLES
        result = sensitivity(options.original, options.spiking, options.data, samples=samples, **arguments)
    else:
        with workers(options) as executor:
            arguments |= {"samples": options.samples, "executor": executor}
            result = compare(options.original, options.spiking, options.data, **arguments)
    if options.kernels:
        note_missing_kernels(options)
    if options.json:
        write(json.dumps(result.to_json(), indent=2))
    elif isinstance(result, Sensitivity):
        write(result.text())
    else:
        write(f"{result.text()}\n\n{_verdict(result, options)}")


def _verdict(result: Evaluation, options: argparse.Namespace) -> str:
    """What the compared network lost and gained; spikes are counted on the first samples."""
    network = load_unguarded(options.spiking, options.custom_ops)
    samples = min(GAIN_SAMPLES, options.samples or GAIN_SAMPLES)
    size, judge = options.batch_size, JudgeOfModel(network)
    feeds = open_feeds(options.data, input_specs(network), batch_size=size, max_samples=samples, judge=judge)
    return verdict(result.loss_text(), measured_gain(network, feeds, kernels=options.kernels), result.next_text())

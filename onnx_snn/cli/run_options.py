# SPDX-License-Identifier: Apache-2.0
"""Arguments of the commands that run networks, and what becomes of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from onnx_snn.cli.data_options import DATA_HELP, add_data_options
from onnx_snn.cli.options import add_custom_ops
from onnx_snn.errors import ConfigError
from onnx_snn.evaluation.metrics import METRICS
from onnx_snn.profiling.energy import EnergyCosts


def add_networks(parser: argparse.ArgumentParser) -> None:
    """Add the original, its spiking network, and the data on which they are compared."""
    parser.add_argument("original", help=".onnx file of the original network")
    parser.add_argument("spiking", help="converted .onnx file")
    parser.add_argument(
        "data", help=f"{DATA_HELP}; with an array or column `labels`, or folders named as classes, for a task metric"
    )
    add_data_options(parser)
    parser.add_argument("--metric", choices=sorted(METRICS), help="task metric (default: what the labels suggest)")


def add_runs(parser: argparse.ArgumentParser, *, batches: bool = True, samples: int | None = None) -> None:
    """Add the options of `run_arguments`, and the number of samples.

    Args:
        parser: the parser of a command.
        batches: whether a run takes several samples.
        samples: number of samples by default; None for all.
    """
    add_custom_ops(parser)
    if batches:
        parser.add_argument("--batch-size", type=int, default=8, help="samples in one run (default: 8)")
    default = "" if samples is None else f" (default: {samples})"
    parser.add_argument("--samples", type=int, default=samples, metavar="N", help=f"use at most N samples{default}")
    parser.add_argument(
        "--kernels",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run spiking nodes by the kernels if installed (default), or by the ONNX functions in the file",
    )


def run_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of the functions that run networks."""
    names = ("batch_size", "kernels", "custom_ops")
    return {name: getattr(options, name) for name in names} | {"progress": not options.quiet}


def add_costs(parser: argparse.ArgumentParser) -> None:
    """Add the costs of single operations."""
    names = ", ".join(EnergyCosts.__dataclass_fields__)
    parser.add_argument(
        "--cost",
        nargs="+",
        default=(),
        metavar="NAME=PICOJOULES",
        help=f"energy of one operation in picojoules; NAME is one of {names}",
    )


def energy_costs(given: Sequence[str]) -> EnergyCosts:
    """Energy costs from entries NAME=PICOJOULES; the others have their defaults.

    Raises:
        ConfigError: an entry is malformed, names no operation, or its cost is negative or not finite.
    """
    costs: dict[str, float] = {}
    for entry in given:
        name, _, cost = entry.partition("=")
        try:
            costs[name] = float(cost)
        except ValueError:
            raise ConfigError(f"invalid --cost {entry!r}: expected NAME=PICOJOULES, such as accumulate=0.9") from None
    return EnergyCosts.from_json(costs)

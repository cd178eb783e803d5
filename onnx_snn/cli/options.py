# SPDX-License-Identifier: Apache-2.0
"""Arguments that the parsers of several commands share."""

from __future__ import annotations

import argparse
from typing import TypeAlias

from onnx_snn.config.convert_config import (
    DEFAULT_MAX_ERROR,
    FEW_MAX_ERROR,
    FEW_TIMESTEPS,
    GENERATING_MAX_ERROR,
    ConvertConfig,
    Preset,
    Scope,
)
from onnx_snn.neurons.opset import Body, Precision

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

DEFAULTS = ConvertConfig()
"""Options of a conversion whose defaults the help texts quote."""


def add_network(network: argparse._ArgumentGroup) -> None:
    """Add the options that determine the network."""
    network.add_argument(
        "--scope", choices=[scope.value for scope in Scope], help="full (default): inputs of weight matmuls too"
    )
    network.add_argument(
        "--preset", choices=[preset.value for preset in Preset], help="paper: neurons of arXiv 2508.07710"
    )
    network.add_argument(
        "--body", choices=[body.value for body in Body], help="functions in the file: time loops, or closed form"
    )
    network.add_argument(
        "--gate",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="saturation spike: a saturated basis fires once, in a step before the first, instead of in every step",
    )
    network.add_argument(
        "--max-error",
        type=fraction,
        metavar="ERROR",
        help=f"largest relative error at the output, for the fewest spikes (default: {DEFAULT_MAX_ERROR:.1%}, with "
        f"up to {FEW_TIMESTEPS} time steps {FEW_MAX_ERROR:.1%}, {GENERATING_MAX_ERROR:.1%} where the network has a "
        "key/value cache)".replace("%", "%%"),
    )
    network.add_argument(
        "--fast", action="store_true", default=None, help="choose neurons by rule: converts sooner, spends more spikes"
    )
    network.add_argument(
        "--meter", action="store_true", default=None, help="add spike counts as outputs of the network: <node>/spikes"
    )
    network.add_argument(
        "--guard",
        action="store_true",
        default=None,
        help="add an output that counts, for each neuron, the elements beyond the range that it represents",
    )
    network.add_argument(
        "--inline",
        action="store_true",
        default=None,
        help="write spiking nodes as standard operators, for hosts that refuse functions; no kernel runs them",
    )
    network.add_argument(
        "--precision",
        choices=[precision.value for precision in Precision],
        help="single: functions in the file without float64, for hosts without it",
    )
    network.add_argument(
        "--headroom",
        type=float,
        help="range of a code, or of the arguments of a function, in multiples of the calibrated one",
    )


def add_choice(parser: argparse.ArgumentParser, *, strict: str) -> None:
    """Add the selection of nodes; `strict` is the help text of that option."""
    choice = parser.add_argument_group("selection of nodes")
    choice.add_argument(
        "--include", nargs="+", metavar="NAME", help="convert only these nodes: names or regular expressions"
    )
    choice.add_argument(
        "--exclude", nargs="+", metavar="NAME", help="keep these nodes as they are: names or regular expressions"
    )
    choice.add_argument("--strict", action="store_true", default=None, help=strict)


def add_custom_ops(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the libraries of custom operators."""
    parser.add_argument(
        "--custom-ops",
        action="append",
        default=[],
        metavar="LIBRARY",
        help="library with operators of others that the network has (repeatable)",
    )


def fraction(text: str) -> float:
    """A fraction such as 0.002, also written in percent: 0.2%."""
    number = text.removesuffix("%")
    try:
        return float(number) / (100.0 if number != text else 1.0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; expected one such as 0.2% or 0.002") from None


def byte_size(text: str) -> int:
    """A number of bytes such as 4096, 500M or 4G, in powers of 1024."""
    digits, unit = text.rstrip("KMGTkmgt"), text.lstrip("0123456789").upper()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 16 and unit in ("", *"KMGT")):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected one such as 4096, 500M or 4G")
    return int(digits) << 10 * " KMGT".index(unit or " ")

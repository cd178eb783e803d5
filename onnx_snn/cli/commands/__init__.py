# SPDX-License-Identifier: Apache-2.0
"""One command a file: `add` defines its arguments, `run` does what they say."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Protocol

from onnx_snn.cli.commands import (
    compare,
    convert,
    demo,
    deploy,
    export,
    generate,
    inspect,
    pack,
    profile,
    raster,
    replay,
    report,
    spikes,
    tune,
    unroll,
)
from onnx_snn.cli.options import Commands


class Command(Protocol):
    """What a module of a command has."""

    @property
    def add(self) -> Callable[[Commands, argparse.ArgumentParser], None]:
        """Adds the parser of the command; the second argument is the parser of what all commands share."""

    @property
    def run(self) -> Callable[[argparse.Namespace], None]:
        """Runs the command with its arguments; an error of the package ends it."""


COMMANDS: dict[str, Command] = {
    "export": export,
    "convert": convert,
    "tune": tune,
    "inspect": inspect,
    "compare": compare,
    "profile": profile,
    "replay": replay,
    "spikes": spikes,
    "raster": raster,
    "unroll": unroll,
    "report": report,
    "pack": pack,
    "deploy": deploy,
    "generate": generate,
    "demo": demo,
}
"""The commands by name, in the order of the help text."""

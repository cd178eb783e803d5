# SPDX-License-Identifier: Apache-2.0
"""Command line: `onnx-snn COMMAND ...`; the commands lie in `onnx_snn/cli/commands/`, one a file.

Results go to standard output, progress and errors to standard error. The exit status is 0 on success, 1 when a command
fails (one line says what is wrong and what to do), 2 when the arguments cannot be parsed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from onnx_snn.cli.commands import COMMANDS
from onnx_snn.cli.data_options import with_data_files
from onnx_snn.cli.installed_kernels import kernels_text
from onnx_snn.cli.terminal import guarded, set_up
from onnx_snn.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of the command line.

    Args:
        arguments: the arguments; those of the process by default.

    Returns:
        The exit status.
    """
    options = with_data_files(_parser().parse_args(arguments))
    set_up(options.verbose)
    return guarded(lambda: COMMANDS[options.command].run(options), verbose=options.verbose > 0)


def _parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="onnx-snn",
        description="Convert pretrained ONNX networks into spiking ONNX networks, without training.",
        formatter_class=argparse.RawDescriptionHelpFormatter,  # keeps the lines of the version apart
    )
    parser.add_argument("--version", action="version", version=f"onnx-snn {__version__}\nkernels: {kernels_text()}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-v", "--verbose", action="count", default=0, help="log more; twice for debugging")
    common.add_argument("-q", "--quiet", action="store_true", help="no progress bars and no report on the terminal")
    for command in COMMANDS.values():
        command.add(commands, common)
    return parser

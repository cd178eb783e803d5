# SPDX-License-Identifier: Apache-2.0
"""What the command line says of the kernels of this installation."""

from __future__ import annotations

import argparse

from onnx_snn.cli.terminal import note
from onnx_snn.runtime.session import find_library


def kernels_text() -> str:
    """Path of the library with the kernels, or what runs without it, for the output of `--version`."""
    return str(find_library() or "none; networks run by the functions in their files")


def note_missing_kernels(options: argparse.Namespace) -> None:
    """Write a note to standard error if this installation has no kernels."""
    if find_library() is None and not options.quiet:
        note("note: no kernels installed: results are bit-identical, but slower (see README, Install)")

# SPDX-License-Identifier: Apache-2.0
"""The command `demo`: converts the models of the repository and compares each with its original."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from onnx_snn.cli.installed_kernels import note_missing_kernels
from onnx_snn.cli.options import DEFAULTS, Commands
from onnx_snn.cli.terminal import write
from onnx_snn.conversion.pipeline import convert
from onnx_snn.errors import ModelError
from onnx_snn.evaluation.comparison import compare
from onnx_snn.neurons.opset import Body

MODEL, CALIBRATION, TEST = "model.onnx", "calibration.npz", "test.npz"

DEMO_SAMPLES = 200
"""Number of test samples of each model: the comparison takes a minute or two even without kernels."""

BATCH_SIZE = 16
"""Number of samples in one run of a network."""


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser("demo", parents=[common], help="convert the models that come with the repository")
    parser.add_argument("--models", default="models", help="folder of the models (default: models)")
    parser.add_argument("-T", "--timesteps", type=int, default=DEFAULTS.timesteps, help="time steps")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    for line in demo(options.models, timesteps=options.timesteps, progress=not options.quiet):
        write(line)
    note_missing_kernels(options)


def demo(models: str | Path, *, timesteps: int, progress: bool = True) -> Iterator[str]:
    """Convert every model folder below `models`, and compare each spiking network with its original.

    A model folder holds `model.onnx`, `calibration.npz` (from training data) and `test.npz` (with `labels`).

    Args:
        models: folder of the model folders.
        timesteps: time steps T of the conversions.
        progress: show progress bars on a terminal.

    Yields:
        Text to print: the conversion report and the comparison of each model.

    Raises:
        ModelError: `models` holds no model folder.
    """
    folders = [path.parent for path in sorted(Path(models).glob(f"*/{MODEL}")) if (path.parent / TEST).is_file()]
    if not folders:
        raise ModelError(
            f"'{models}' holds no model folder with {MODEL} and {TEST}; run the demo from the repository's root"
        )
    with tempfile.TemporaryDirectory() as scratch:
        for folder in folders:
            spiking = Path(scratch) / f"{folder.name}.onnx"
            # The closed body gives the same bits as the time loop and is many times faster without kernels.
            report = convert(
                folder / MODEL,
                spiking,
                folder / CALIBRATION,
                timesteps=timesteps,
                body=Body.CLOSED,
                batch_size=BATCH_SIZE,
                progress=progress,
            )
            yield f"== {folder.name}\n{report.text()}\n"
            evaluation = compare(
                folder / MODEL,
                spiking,
                folder / TEST,
                batch_size=BATCH_SIZE,
                samples=DEMO_SAMPLES,
                progress=progress,
            )
            yield f"{evaluation.text()}\n"

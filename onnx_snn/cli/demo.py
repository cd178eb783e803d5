# SPDX-License-Identifier: Apache-2.0
"""Demonstration: convert the models that come with the repository and compare each with its original."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from onnx_snn.conversion.pipeline import convert
from onnx_snn.errors import ModelError
from onnx_snn.evaluation.comparison import compare
from onnx_snn.neurons.opset import Body

MODEL, CALIBRATION, TEST = "model.onnx", "calibration.npz", "test.npz"

DEMO_SAMPLES = 200
"""Test samples of each model: enough to see that nothing is lost, in a minute or two without kernels."""

BATCH_SIZE = 16


def demo(models: str | Path, *, timesteps: int, progress: bool = True) -> Iterator[str]:
    """Convert every model folder below `models`; yields the text to print, one model after the other.

    A model folder holds `model.onnx`, `calibration.npz` (from training data) and `test.npz` (with `labels`).

    Raises:
        ModelError: there is no such folder.
    """
    folders = [path.parent for path in sorted(Path(models).glob(f"*/{MODEL}")) if (path.parent / TEST).is_file()]
    if not folders:
        raise ModelError(f"'{models}' holds no model folder with {MODEL} and {TEST}; run from the repository's root")
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

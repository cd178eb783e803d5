# SPDX-License-Identifier: Apache-2.0
"""The arguments of one call of `convert`: the configuration, and how to run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnx_snn.config.convert_config import ConvertConfig
from onnx_snn.conversion.folder_layout import Layout
from onnx_snn.workers.shards import Workers


@dataclass(frozen=True)
class RunOptions:
    """How `convert` was called.

    Attributes:
        config: options that determine the converted model.
        cache: .npz file with the calibration histograms; None for none.
        samples: use at most this many samples; None for all.
        batch_size: samples in one run during calibration.
        dry_run: stop after selection.
        progress: show progress bars on a terminal.
        custom_ops: libraries of custom operators that the model needs.
        layout: where the models of a converted folder lie.
        workers: who runs the network where runs can be divided; None for this process.
    """

    config: ConvertConfig
    cache: str | Path | None = None
    samples: int | None = None
    batch_size: int = 8
    dry_run: bool = False
    progress: bool = True
    custom_ops: tuple[str | Path, ...] = ()
    layout: Layout = Layout.OPTIMUM
    workers: Workers | None = None

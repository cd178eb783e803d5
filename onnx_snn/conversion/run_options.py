# SPDX-License-Identifier: Apache-2.0
"""The options of one call of `convert` that do not decide what it writes, beside those that do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnx_snn.config.convert_config import ConvertConfig


@dataclass(frozen=True)
class RunOptions:
    """How `convert` was called.

    Attributes:
        config: what decides the result.
        cache: .npz file that keeps what calibration saw; None for none.
        samples: use at most this many samples; None for all.
        batch_size: samples in one run during calibration.
        dry_run: stop after selection.
        progress: show progress bars on a terminal.
    """

    config: ConvertConfig
    cache: str | Path | None = None
    samples: int | None = None
    batch_size: int = 8
    dry_run: bool = False
    progress: bool = True

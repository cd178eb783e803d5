# SPDX-License-Identifier: Apache-2.0
"""Work that several workers share has the same bits as in one process, however it is divided and whoever fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx_ir as ir
import pytest
from networks import normal
from observed_network import OBSERVATIONS, feeds, network
from shard_executors import Failing, KillsOnce, Shuffled

import onnx_snn
from onnx_snn import CalibrationError, ConfigError, LocalPool, WorkerError, Workers
from onnx_snn.calibration.cache import CacheKey, save_cache
from onnx_snn.calibration.statistics import Calibration, calibrate
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import input_specs
from onnx_snn.runtime.tap_session import quiet_options
from onnx_snn.workers.shards import with_threads

SHARDINGS = [1, 2, 3, 7]


def one_thread() -> Any:
    return with_threads(quiet_options(), 1)


def in_bytes(calibration: Calibration, folder: Path) -> bytes:
    save_cache(calibration, folder / "cache.npz", CacheKey("", ""))
    return (folder / "cache.npz").read_bytes()


# --- calibration ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", SHARDINGS)
def test_statistics_have_the_same_bytes_for_every_sharding(shards: int, tmp_path: Path) -> None:
    model = network()
    whole = calibrate(model, OBSERVATIONS, feeds(model), session_options=one_thread, progress=False)
    with Shuffled(shards, seed=shards) as executor:
        workers = Workers(executor, shards=shards)
        parts = calibrate(model, OBSERVATIONS, feeds(model), progress=False, workers=workers)
    assert in_bytes(parts, tmp_path) == in_bytes(whole, tmp_path)
    assert parts.samples == whole.samples

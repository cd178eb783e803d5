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
import onnx
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


def test_a_conversion_has_the_same_bytes(tmp_path: Path) -> None:
    original, data = tmp_path / "original.onnx", tmp_path / "data.npz"
    onnx.save(networks.classifier(), original)
    np.savez(data, x=normal(40, 8))
    contents = []
    for shards in (1, 3):
        with Shuffled(shards) as executor:
            onnx_snn.convert(
                original, tmp_path / "snn.onnx", data, executor=Workers(executor, shards=shards), progress=False
            )
        contents.append((tmp_path / "snn.onnx").read_bytes())
    onnx_snn.convert(original, tmp_path / "snn.onnx", data, progress=False)
    assert contents == [(tmp_path / "snn.onnx").read_bytes()] * 2


# --- comparison and profile ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    original, spiking = folder / "original.onnx", folder / "spiking.onnx"
    onnx.save(networks.classifier(), original)
    onnx_snn.convert(original, spiking, {"x": normal(16, 8)}, fast=True, timesteps=4, progress=False)
    return original, spiking


def first_score(output: Any, labels: Any) -> Any:
    return output[:, 0] * labels


@pytest.mark.parametrize("shards", SHARDINGS)
@pytest.mark.parametrize("metric", ["accuracy", "f1", "cosine", first_score])
def test_comparisons_have_the_same_bits(shards: int, metric: Any, pair: tuple[Path, Path]) -> None:
    data = {"x": 3 * normal(45, 8, seed=2), "labels": np.arange(45) % 5}
    options: dict[str, Any] = {"metric": metric, "batch_size": 4, "progress": False}
    whole = onnx_snn.compare(*pair, data, **options)
    with Shuffled(shards, seed=shards) as executor:
        parts = onnx_snn.compare(*pair, data, executor=Workers(executor, shards=shards), **options)
    assert parts == whole
    assert sum(node.saturated for node in whole.saturation)


@pytest.mark.parametrize("shards", SHARDINGS)
def test_profiles_have_the_same_counts(shards: int, pair: tuple[Path, Path]) -> None:
    data = {"x": normal(45, 8, seed=2)}
    whole = onnx_snn.profile(pair[1], data, batch_size=4, progress=False)
    with Shuffled(shards, seed=shards) as executor:
        parts = onnx_snn.profile(pair[1], data, batch_size=4, progress=False, executor=Workers(executor, shards=shards))
    assert parts.to_json() == whole.to_json()

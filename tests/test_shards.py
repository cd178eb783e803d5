# SPDX-License-Identifier: Apache-2.0
"""Work that several workers share has the same bits as in one process, however it is divided and whoever fails."""

from __future__ import annotations

import pickle
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
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
from onnx_snn.cli.main import main
from onnx_snn.data.feeds import open_feeds
from onnx_snn.data.specs import InputSpec, input_specs
from onnx_snn.runtime.tap_session import quiet_options
from onnx_snn.workers.shards import with_threads
from onnx_snn.workers.shared_feeds import SharedFeeds

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


@pytest.mark.slow
def test_a_conversion_has_the_same_bytes(tmp_path: Path) -> None:
    """Statistics and the runs that choose neurons are divided."""
    original, data = tmp_path / "original.onnx", tmp_path / "data.npz"
    onnx.save(networks.classifier(), original)
    np.savez(data, x=normal(24, 8))
    onnx_snn.convert(original, tmp_path / "whole.onnx", data, progress=False)
    with Failing(set(), OSError()) as executor:
        workers = Workers(executor, shards=3)
        onnx_snn.convert(original, tmp_path / "parts.onnx", data, executor=workers, progress=False)
    assert (tmp_path / "parts.onnx").read_bytes() == (tmp_path / "whole.onnx").read_bytes()
    assert executor.submitted > 6


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


# --- data ----------------------------------------------------------------------------------------


def collected(source: Any, folder: Path, **options: Any) -> list[bytes]:
    """Feeds of `source` by three workers, in their order."""
    specs = [InputSpec("x", np.dtype(np.float32), (None, 8))]
    shared = SharedFeeds.of(open_feeds(source, specs, **options), folder)
    opened = pickle.loads(pickle.dumps(shared)).open(None)
    found = sorted((number, start, feed["x"].tobytes()) for i in range(3) for number, start, feed in opened.shard(i, 3))
    assert [start for _, start, _ in found] == list(np.cumsum([0, *(len(data) // 32 for *_, data in found)])[:-1])
    return [data for *_, data in found]


@pytest.mark.parametrize("kind", ["dict", "list", "generator", "reader", "npz", "folder", "feeds", "partitioned"])
def test_every_source_is_read_by_parts(kind: str, tmp_path: Path) -> None:
    x = normal(10, 8)
    batches = [{"x": x[start : start + 4]} for start in range(0, 10, 4)]
    (tmp_path / "archives").mkdir()
    np.savez(tmp_path / "archives" / "a.npz", x=x[:4])
    np.savez(tmp_path / "archives" / "b.npz", x=x[4:])
    np.savez(tmp_path / "data.npz", x=x)
    sources: dict[str, Any] = {
        "dict": {"x": x},
        "list": batches,
        "generator": iter(batches),
        "reader": Reader(batches),
        "npz": tmp_path / "data.npz",
        "folder": tmp_path / "archives",
        "feeds": open_feeds({"x": x}, [InputSpec("x", np.dtype(np.float32), (None, 8))], batch_size=4),
        "partitioned": KillsOnce([{"x": row[None]} for row in x], tmp_path),
    }
    found = collected(sources[kind], tmp_path, batch_size=4)
    assert b"".join(found) == x.tobytes()
    if kind in ("npz", "partitioned"):
        assert not (tmp_path / "feeds").exists()


@dataclass
class Reader:
    """A reader as onnxruntime's tools have it."""

    feeds: list[Any]

    def get_next(self) -> Any:
        return self.feeds.pop(0) if self.feeds else None


# --- failures ------------------------------------------------------------------------------------


def single_rows(samples: int) -> list[dict[str, Any]]:
    return [{"x": row[None], "flag": np.array(True)} for row in normal(samples, 5, 32)]


def calibrated_by(executor: Any, tmp_path: Path, source: Any = None, *, shards: int = 3) -> bytes:
    model = network()
    data = feeds(model) if source is None else open_feeds(source, input_specs(model))
    return in_bytes(
        calibrate(model, OBSERVATIONS, data, progress=False, workers=Workers(executor, shards=shards)), tmp_path
    )


def test_a_shard_that_fails_is_run_again(tmp_path: Path) -> None:
    whole = calibrated_by(Failing(set(), OSError()), tmp_path)
    executor = Failing({1}, BrokenExecutor("a process was lost"))
    assert calibrated_by(executor, tmp_path) == whole
    assert executor.submitted == 4


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (BrokenExecutor("a process was lost"), WorkerError, "lost 2 times while they ran shard 1 of 3"),
        (OSError("no space"), WorkerError, "shard 1 of 3 failed 2 times: OSError: no space"),
        (CalibrationError("feed 3 is empty"), CalibrationError, "feed 3 is empty"),
    ],
)
def test_a_shard_that_fails_twice_ends_with_its_error(
    error: Exception, raised: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(raised, match=message):
        calibrated_by(Failing(set(range(10)), error), tmp_path)


def test_nothing_is_written_where_workers_fail(tmp_path: Path) -> None:
    with pytest.raises(WorkerError):
        onnx_snn.convert(
            networks.classifier(),
            tmp_path / "snn.onnx",
            {"x": normal(8, 8)},
            calibration_cache=tmp_path / "cache.npz",
            executor=Failing(set(range(99)), OSError("no space")),
            progress=False,
        )
    assert list(tmp_path.iterdir()) == []


def test_bad_data_is_named_as_in_one_process(tmp_path: Path) -> None:
    rows = single_rows(10)
    rows[7]["x"][:] = np.nan
    with pytest.raises(CalibrationError, match=r"feed 7 of the data: input 'x' holds nan"):
        calibrated_by(Failing(set(), OSError()), tmp_path, rows)


def test_work_that_cannot_be_sent_is_refused(pair: tuple[Path, Path]) -> None:
    with pytest.raises(WorkerError, match="define functions and classes, such as a metric, in a module"):
        onnx_snn.compare(
            *pair,
            {"x": normal(4, 8)},
            metric=lambda output, _: output[:, 0],
            executor=Failing(set(), OSError()),
            progress=False,
        )


@pytest.mark.parametrize(("options", "message"), [({"threads": 0}, "threads is 0"), ({"shards": -1}, "shards is -1")])
def test_numbers_of_workers_are_checked(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Workers(Failing(set(), OSError()), **options)
    with pytest.raises(ConfigError, match="0 workers"):
        LocalPool(0)
    with pytest.raises(ConfigError, match="executor is a int"):
        Workers.of(2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "0"], "0 workers; expected at least 1"),
        (["--workers", "1", "--threads", "0"], "threads is 0; expected at least 1"),
        (["--threads", "2"], "--threads belongs to workers; give --workers or --dask as well"),
        (["--workers", "2", "--per-node"], "--per-node runs in this process; leave --workers and --dask out"),
    ],
)
def test_the_command_line_refuses_what_means_nothing(
    arguments: list[str], message: str, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *map(str, pair), "data.npz", *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_process_that_is_killed_is_replaced(tmp_path: Path) -> None:
    rows = single_rows(6)
    whole = calibrated_by(Failing(set(), OSError()), tmp_path, rows)
    (tmp_path / "killed").unlink(missing_ok=True)
    with LocalPool(2) as pool:
        assert calibrated_by(pool, tmp_path, KillsOnce(rows, tmp_path / "killed"), shards=2) == whole
    assert (tmp_path / "killed").exists()

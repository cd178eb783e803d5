# SPDX-License-Identifier: Apache-2.0
"""Work on the batches of some data, divided into shards that an executor runs.

A `Task` goes to the workers as a file. A worker opens it once, which opens sessions by the paths of networks, and then
runs one shard of it after the other. What comes back are partial results: exact counts, or figures of single batches
that are merged in the order of the batches. So the merged result has the same bits however the work is divided, in
whatever order the shards end, and however many workers there are. What does matter is the number of threads of a
session, by which onnxruntime divides some sums; it belongs to `Workers` and not to the machine.
"""

from __future__ import annotations

import logging
import os
import pickle
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import onnxruntime as ort

from onnx_snn.errors import ConfigError, OnnxSnnError, WorkerError

logger = logging.getLogger(__name__)

SHARDS = 8
"""Default number of shards: a few for each of some workers, so that a lost one costs little, but not many, since each
has a result that is sent and merged."""

TRIES = 2
"""Number of times that a shard is run before its error ends the work."""

Result_co = TypeVar("Result_co", covariant=True)
Result = TypeVar("Result")

Shard: TypeAlias = Callable[..., Result]
"""Runs a shard, by the arguments that tell which one it is."""


class Task(Protocol[Result_co]):
    """Work that is divided; an object that can be pickled."""

    def open(self, threads: int) -> Shard[Result_co]:
        """Open what the shards need, where they run; sessions with `threads` threads."""


@dataclass(frozen=True)
class Workers:
    """Who runs the shards of some work, and how it is divided; nothing of this but `threads` can change a bit.

    Attributes:
        executor: any executor of `concurrent.futures`.
        threads: number of threads of each session of a worker.
        shards: number of shards.
        folder: folder for what workers read, networks above all, which all of them reach by the same path; the one for
            temporary files by default, which suffices on one machine.
    """

    executor: Executor
    threads: int = 1
    shards: int = SHARDS
    folder: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.executor, Executor):
            raise ConfigError(
                f"executor is a {type(self.executor).__name__}; expected an executor of concurrent.futures, such as "
                "onnx_snn.LocalPool(2)"
            )
        for name in ("threads", "shards"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected at least 1")

    @classmethod
    def of(cls, executor: ExecutorLike) -> Workers | None:
        """`executor` as workers; None for none."""
        return executor if executor is None or isinstance(executor, Workers) else cls(executor)

    @contextmanager
    def folder_of_work(self) -> Iterator[Path]:
        """A new folder for what workers read, removed at the end."""
        with tempfile.TemporaryDirectory(prefix="onnx-snn-", dir=self.folder) as folder:
            yield Path(folder).absolute()

    def run(self, task: Task[Result], folder: Path) -> Iterator[tuple[int, Result]]:
        """Index and result of every shard of `task`, as they end; a shard is called with its index and their number.

        Args:
            task: the work.
            folder: a folder from `folder_of_work`.

        Raises:
            WorkerError: the task cannot be sent, or workers were lost twice with the same shard.
            OnnxSnnError: a shard failed twice; this is its error.
        """
        with SentTask(self, task, folder) as sent:
            yield from sent.run([(index, self.shards) for index in range(self.shards)])


ExecutorLike: TypeAlias = "Executor | Workers | None"
"""Who runs a piece of work: an executor with one thread for each session, `Workers`, or None for this process."""


class SentTask(Generic[Result]):
    """A task that workers keep open from one round of shards to the next, until the block ends.

    Args:
        workers: who runs it.
        task: the work.
        folder: a folder from `Workers.folder_of_work`.

    Raises:
        WorkerError: the task cannot be sent.
    """

    def __init__(self, workers: Workers, task: Task[Result], folder: Path) -> None:
        self._workers = workers
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".task", delete=False) as file:
            try:
                pickle.dump(task, file, protocol=pickle.HIGHEST_PROTOCOL)
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                raise WorkerError(
                    f"the work cannot be sent to workers: {error}; define functions and classes, such as a metric, in "
                    "a module"
                ) from error
        self._file = file.name

    def __enter__(self) -> SentTask[Result]:
        return self

    def __exit__(self, *_: object) -> None:
        for thread in [thread for thread, (opened, _) in list(_OPENED.items()) if opened == self._file]:
            _OPENED.pop(thread, None)

    def run(self, shards: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Result]]:
        """Index and result of every shard, as they end; `shards` are the arguments of each.

        Raises:
            WorkerError, OnnxSnnError: as of `Workers.run`.
        """
        waiting: dict[Future[bytes], int] = {}
        tries = [0] * len(shards)
        try:
            waiting |= {self._submitted(arguments): index for index, arguments in enumerate(shards)}
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=waiting.__getitem__):
                    index = waiting.pop(future)
                    error = future.exception()
                    if error is None:
                        yield index, pickle.loads(zlib.decompress(future.result()))
                        continue
                    tries[index] += 1
                    if tries[index] == TRIES or not isinstance(error, Exception):
                        raise _failure(index, len(shards), error)
                    logger.warning("shard %s of %s failed (%s); it is run again", index + 1, len(shards), error)
                    waiting[self._submitted(shards[index])] = index
        finally:
            for future in waiting:
                future.cancel()

    def _submitted(self, arguments: tuple[Any, ...]) -> Future[bytes]:
        try:
            return self._workers.executor.submit(run_shard, self._file, arguments, self._workers.threads)
        except BrokenExecutor as error:
            raise WorkerError(
                f"a worker was lost, and its executor takes no more work ({error}); onnx_snn.LocalPool starts new "
                "processes in such a case"
            ) from error


def _failure(index: int, shards: int, error: BaseException) -> BaseException:
    """What ends the work after the last try of a shard."""
    if isinstance(error, OnnxSnnError) or not isinstance(error, Exception):
        return error
    where = f"shard {index + 1} of {shards}"
    if isinstance(error, BrokenExecutor):
        return WorkerError(
            f"workers were lost {TRIES} times while they ran {where} ({error}); memory may have run out: use fewer "
            "workers, or smaller batches"
        )
    return WorkerError(f"{where} failed {TRIES} times: {type(error).__name__}: {error}")


_OPENED: dict[int, tuple[str, Shard[Any]]] = {}
"""The task that each thread of this process has open, by its file: one, whose sessions go when the next is opened."""


def run_shard(file: str, arguments: tuple[Any, ...], threads: int) -> bytes:
    """Run one shard of the task in `file`, in a worker; returns its pickled and compressed result."""
    thread = threading.get_ident()
    if _OPENED.get(thread, ("",))[0] != file:
        _OPENED.pop(thread, None)
        with Path(file).open("rb") as opened:
            task: Task[Any] = pickle.load(opened)
        _OPENED[thread] = file, task.open(threads)
    return zlib.compress(pickle.dumps(_OPENED[thread][1](*arguments), protocol=pickle.HIGHEST_PROTOCOL), 1)


def with_threads(options: ort.SessionOptions, threads: int) -> ort.SessionOptions:
    """`options` of a session that runs with `threads` threads."""
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return options

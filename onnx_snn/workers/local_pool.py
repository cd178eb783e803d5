# SPDX-License-Identifier: Apache-2.0
"""A pool of processes on this machine that goes on when one of them is lost."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any, TypeVar

from onnx_snn.errors import ConfigError

Result = TypeVar("Result")


class LocalPool(Executor):
    """Processes on this machine, started anew (spawned) rather than forked, as threads of a session survive no fork.

    A `ProcessPoolExecutor` is broken for good when the system kills one of its processes. This pool then starts new
    ones for what is submitted next. A script that makes a pool needs `if __name__ == "__main__":` around what it does,
    because the processes import it.

    Args:
        workers: number of processes.

    Raises:
        ConfigError: there is not at least one.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ConfigError(f"{workers} workers; expected at least 1")
        self.workers = workers
        self._pool = self._started()

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Let a process call `fn`, a function of a module."""
        try:
            return self._pool.submit(fn, *args, **kwargs)
        except BrokenExecutor:
            self._pool.shutdown(wait=False)
            self._pool = self._started()
            return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _started(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.workers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Let this process end when the one that started it does, even if that is killed."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

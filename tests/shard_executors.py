# SPDX-License-Identifier: Apache-2.0
"""Executors that run shards out of order, fail, or end their processes."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any


class Shuffled(Executor):
    """Runs what is submitted in a shuffled order in one thread of this process.

    Args:
        expected: number of submissions after which it begins with a round; further ones run at once.
        seed: of the order.
    """

    def __init__(self, expected: int, seed: int = 0) -> None:
        self._expected, self._random = expected, random.Random(seed)
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []
        self._thread = ThreadPoolExecutor(1)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        if len(self._waiting) == self._expected:
            self._random.shuffle(self._waiting)
            for one, call in self._waiting:
                self._thread.submit(_fulfil, one, call)
            self._waiting = []
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._thread.shutdown(wait=wait, cancel_futures=cancel_futures)


class Failing(Executor):
    """Runs what is submitted at once, and fails in some submissions, which are counted from 0."""

    def __init__(self, failures: set[int], error: Exception) -> None:
        self._failures, self._error, self.submitted = failures, error, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        number, self.submitted = self.submitted, self.submitted + 1
        if number in self._failures:
            future.set_exception(self._error)
        else:
            _fulfil(future, lambda: fn(*args, **kwargs))
        return future


def _fulfil(future: Future[Any], call: Callable[[], Any]) -> None:
    try:
        future.set_result(call())
    except Exception as error:
        future.set_exception(error)


class KillsOnce:
    """A partitioned source of feeds that ends its process when part 1 is read, unless `mark` exists; it makes it then.

    Args:
        feeds: the feeds, of one sample each.
        mark: path of a file.
        parent: the process that is spared.
    """

    def __init__(self, feeds: list[dict[str, Any]], mark: Path) -> None:
        self._feeds, self._mark, self._parent = feeds, mark, os.getpid()

    def __iter__(self) -> Any:
        return iter(self._feeds)

    def part(self, index: int, parts: int) -> Any:
        if index == 1 and not self._mark.exists() and os.getpid() != self._parent:
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        for number in range(index, len(self._feeds), parts):
            yield number, number, self._feeds[number]

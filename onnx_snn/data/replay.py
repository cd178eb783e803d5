# SPDX-License-Identifier: Apache-2.0
"""Replay of feeds from a source that can be read only once."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


class Replay:
    """An iterable over the feeds of an iterator, which keeps them in a temporary file to yield them again.

    Args:
        iterator: Source of feeds; it is advanced only as far as the replay is read.
    """

    def __init__(self, iterator: Iterator[Mapping[str, Any]]) -> None:
        self._iterator = iterator
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the object
        self._offsets: list[int] = []

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        position = 0
        while position < len(self._offsets) or self._read_one():
            self._file.seek(self._offsets[position])
            yield pickle.load(self._file)
            position += 1

    def _read_one(self) -> bool:
        """Append the iterator's next feed to the file; False where there is none."""
        feed = next(self._iterator, None)
        if feed is None:
            return False
        self._offsets.append(self._file.seek(0, os.SEEK_END))
        if isinstance(feed, Mapping):
            feed = {name: np.asarray(array) for name, array in feed.items()}
        pickle.dump(feed, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        return True
